"""The numbers of `metrics.json`, from a predictions table alone. No TensorFlow."""

from collections.abc import Sequence
from typing import NotRequired, TypedDict

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.special import log_softmax
from sklearn.metrics import confusion_matrix, f1_score, precision_recall_fscore_support

from thaw.pipeline_config.errors import DatasetError
from thaw.tasks.evaluation.intervals import wilson_interval
from thaw.tasks.evaluation.predictions import probability_matrix, right_answers, top_probability
from thaw.tasks.training.stage_facts import LARGEST_LOSS, SMALLEST_PROBABILITY

CALIBRATION_BINS = 15  # as in Guo et al., 2017, "On Calibration of Modern Neural Networks"
_TOP = 5

# Written as a call, because "class" is a keyword.
ClassScore = TypedDict("ClassScore", {"class": str, "examples": int, "precision": float, "recall": float, "f1": float})


class ConfusionMatrix(TypedDict):
    """Numbers of images by true class (rows) and predicted class (columns)."""

    classes: list[str]
    matrix: list[list[int]]


class CalibrationBin(TypedDict):
    """The images whose top probability is in (low, high]; the last three are null where there are none.

    `confidence` is the mean of their top probabilities, `accuracy` the share of them that is predicted rightly.
    """

    low: float
    high: float
    examples: int
    confidence: float | None
    accuracy: float | None
    accuracy_ci: list[float] | None


class Reliability(TypedDict):
    """How well probabilities fit what is right."""

    loss: float
    expected_calibration_error: float
    calibration: list[CalibrationBin]


class SplitMetrics(TypedDict):
    """Everything that is measured on one split, of the model with its temperature.

    `uncalibrated` is of the same model with temperature 1, as it was trained: its loss is what `val_loss` is on the
    validation split.
    """

    examples: int
    correct: int
    accuracy: float
    accuracy_ci: list[float]
    confidence: float
    loss: float
    top_5_accuracy: NotRequired[float]
    macro_f1: float
    expected_calibration_error: float
    temperature: float
    uncalibrated: Reliability
    per_class: list[ClassScore]
    confusion_matrix: ConfusionMatrix
    calibration: list[CalibrationBin]


class Metrics(TypedDict):
    """The document `metrics.json`."""

    test: SplitMetrics


def compute_metrics(table: pa.Table, classes: Sequence[str], confidence: float, temperature: float = 1.0) -> Metrics:
    """Compute all metrics of the test split from its predictions; `confidence` is the level of the intervals, 0 to 1.

    `temperature` is what the logits of the model were divided by.

    Top-5 accuracy is there only where there are more than five classes. The macro F1 is the mean over the classes that
    occur among the labels or the predictions.

    Raises:
        DatasetError: The table has no rows.
    """
    if table.num_rows == 0:
        raise DatasetError("The test split has no images, expected at least 1. Raise dataset.splits.test.fraction.")
    labels, predicted, ranks = (table[name].to_numpy() for name in ("label", "predicted", "rank"))
    right = right_answers(table)
    correct = int(right.sum())
    bins = calibration(top_probability(table), right, confidence)
    matrix = confusion_matrix(labels, predicted, labels=range(len(classes)))
    test: SplitMetrics = {
        "examples": table.num_rows,
        "correct": correct,
        "accuracy": correct / table.num_rows,
        "accuracy_ci": wilson_interval(correct, table.num_rows, confidence),
        "confidence": confidence,
        "loss": float(table["loss"].to_numpy().mean()),
        "macro_f1": float(f1_score(labels, predicted, average="macro", zero_division=0)),
        "expected_calibration_error": expected_calibration_error(bins),
        "temperature": temperature,
        "uncalibrated": _without_temperature(probability_matrix(table), labels, temperature, confidence),
        "per_class": _class_scores(labels, predicted, classes),
        "confusion_matrix": {"classes": list(classes), "matrix": matrix.tolist()},
        "calibration": bins,
    }
    if len(classes) > _TOP:
        test["top_5_accuracy"] = float((ranks <= _TOP).mean())
    return {"test": test}


def calibration(
    top: npt.NDArray[np.float64], correct: npt.NDArray[np.bool_], confidence: float
) -> list[CalibrationBin]:
    """Compare how sure the model was with how often it was right, in 15 bins of equal width from 0 to 1.

    Args:
        top: Probability of the predicted class, (images,), range [0, 1].
        correct: Whether the prediction was right, (images,).
        confidence: Level of each bin's interval.
    """
    edges = np.linspace(0.0, 1.0, CALIBRATION_BINS + 1)
    places = np.clip(np.searchsorted(edges, top, side="left") - 1, 0, CALIBRATION_BINS - 1)
    bins: list[CalibrationBin] = []
    for number in range(CALIBRATION_BINS):
        chosen = places == number
        examples, right = int(chosen.sum()), int(correct[chosen].sum())
        bins.append(
            {
                "low": float(edges[number]),
                "high": float(edges[number + 1]),
                "examples": examples,
                "confidence": float(top[chosen].mean()) if examples else None,
                "accuracy": right / examples if examples else None,
                "accuracy_ci": wilson_interval(right, examples, confidence) if examples else None,
            }
        )
    return bins


def expected_calibration_error(bins: Sequence[CalibrationBin]) -> float:
    """Sum up the bins: the mean distance between confidence and accuracy, weighted by the number of images."""
    total = sum(one["examples"] for one in bins)
    gaps = (
        one["examples"] * abs(one["accuracy"] - one["confidence"])
        for one in bins
        if one["accuracy"] is not None and one["confidence"] is not None
    )
    return sum(gaps) / total


def _without_temperature(
    probabilities: npt.NDArray[np.float32], labels: npt.NDArray[np.int32], temperature: float, confidence: float
) -> Reliability:
    # The logarithms of probabilities are logits, but for a number that all classes of an image have in common.
    logits = np.log(np.maximum(probabilities.astype(np.float64), SMALLEST_PROBABILITY)) * temperature
    logs = log_softmax(logits, axis=1)
    top, right = np.exp(logs.max(axis=1)), probabilities.argmax(axis=1) == labels
    losses = np.minimum(-logs[np.arange(len(labels)), labels], LARGEST_LOSS)
    bins = calibration(top, right, confidence)
    return {
        "loss": float(losses.mean()),
        "expected_calibration_error": expected_calibration_error(bins),
        "calibration": bins,
    }


def _class_scores(
    labels: npt.NDArray[np.int32], predicted: npt.NDArray[np.int32], classes: Sequence[str]
) -> list[ClassScore]:
    scores = precision_recall_fscore_support(labels, predicted, labels=range(len(classes)), zero_division=0)
    return [
        {"class": name, "examples": count, "precision": precision, "recall": recall, "f1": f1}
        for name, precision, recall, f1, count in zip(classes, *(score.tolist() for score in scores), strict=True)
    ]
