"""Made-up results that look like real ones: predictions, histories, pictures and a whole report, without TensorFlow."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from thaw.tasks.evaluation.history import learning_curves, read_histories
from thaw.tasks.evaluation.metrics import SplitMetrics, compute_metrics
from thaw.tasks.evaluation.pictures.answers import Answer, draw_answers
from thaw.tasks.evaluation.pictures.augmentations import draw_augmentations
from thaw.tasks.evaluation.pictures.confusion import draw_confusion_matrix
from thaw.tasks.evaluation.pictures.curves import draw_learning_curves
from thaw.tasks.evaluation.pictures.reliability import draw_reliability
from thaw.tasks.evaluation.pictures.samples import draw_samples
from thaw.tasks.evaluation.pictures.style import save_picture
from thaw.tasks.evaluation.predictions import predictions_table
from thaw.tasks.evaluation.report import ReportContent, StageSummary, render_report

PICTURES = (
    "augmentations",
    "confusion_matrix",
    "learning_curves",
    "mistakes",
    "reliability",
    "samples",
    "test_images",
)


def make_table(classes, examples=60, noise=2.0, seed=0):
    """Predictions of a model that is mostly right; with noise 0 it always is."""
    random = np.random.default_rng(seed)
    labels = (np.arange(examples) % len(classes)).astype(np.int32)
    scores = random.normal(size=(examples, len(classes))) * noise
    scores[np.arange(examples), labels] += 4
    exponentials = np.exp(scores)
    probabilities = (exponentials / exponentials.sum(axis=1, keepdims=True)).astype(np.float32)
    return predictions_table([f"{row:064x}" for row in range(examples)], labels, probabilities, classes)


def write_history(folder, epochs, start_accuracy):
    """A stage's `history.parquet`, whose epoch 0 has no training values."""
    folder.mkdir(parents=True)
    steps = np.arange(epochs + 1)
    accuracy = 1 - (1 - start_accuracy) * 0.7**steps
    table = pa.table(
        {
            "epoch": pa.array(steps, pa.int32()),
            "loss": pa.array([None, *(1.1 - accuracy[1:])], pa.float64()),
            "accuracy": pa.array([None, *(accuracy[1:] - 0.02)], pa.float64()),
            "val_loss": pa.array(1 - accuracy, pa.float64()),
            "val_accuracy": pa.array(accuracy, pa.float64()),
            "learning_rate": pa.array([0.0, *([1e-3] * epochs)], pa.float64()),
        }
    )
    pq.write_table(table, folder / "history.parquet")
    return folder


def make_photo(seed, height=48, width=64):
    """Smooth noise: it has as many colours as a photo."""
    random = np.random.default_rng(seed)
    corners = random.uniform(0, 255, size=(2, 2, 3))
    down, across = np.linspace(0, 1, height)[:, None, None], np.linspace(0, 1, width)[None, :, None]
    top, bottom = (corners[row, 0] * (1 - across) + corners[row, 1] * across for row in (0, 1))
    return (top * (1 - down) + bottom * down).astype(np.uint8)


def make_pictures(folder: Path, metrics: SplitMetrics, classes, history: pa.Table) -> None:
    """All seven pictures of a report."""
    folder.mkdir()
    photos = [make_photo(seed) for seed in range(9)]
    rows = [(name, photos[:3]) for name in classes[:10]]
    answers = [Answer(photo, classes[place % 2], classes[0], 0.9) for place, photo in enumerate(photos)]
    wrong = [answer for answer in answers if answer.predicted != answer.true]
    save_picture(folder / "samples.png", lambda: draw_samples(rows), photos=True)
    save_picture(folder / "augmentations.png", lambda: draw_augmentations(photos[0], photos), photos=True)
    save_picture(folder / "test_images.png", lambda: draw_answers(answers, if_none="No mistakes."), photos=True)
    save_picture(folder / "mistakes.png", lambda: draw_answers(wrong, if_none="No mistakes."), photos=True)
    accuracy, loss = learning_curves(history, "accuracy"), learning_curves(history, "loss")
    save_picture(folder / "learning_curves.png", lambda: draw_learning_curves(accuracy, loss, [4, 3]))
    matrix = metrics["confusion_matrix"]["matrix"]
    save_picture(folder / "confusion_matrix.png", lambda: draw_confusion_matrix(matrix, classes))
    save_picture(folder / "reliability.png", lambda: draw_reliability(metrics["calibration"], metrics["confidence"]))


def make_content(metrics: SplitMetrics, **changes) -> ReportContent:
    """What a report says, with two stages of which the second starts lower than the first ended."""
    common: dict[str, Any] = {"parameters": 2_260_546, "epochs": 10}
    one: dict[str, Any] = {"accuracy_before": 0.512, "accuracy_after": 0.965, "loss_before": 0.71, "loss_after": 0.11}
    two: dict[str, Any] = {"accuracy_before": 0.951, "accuracy_after": 0.977, "loss_before": 0.14, "loss_after": 0.06}
    stages = [
        StageSummary("stage one", 128, "the head; the backbone is frozen", 2_562, kept_epoch=10, **one, **common),
        StageSummary("stage two", 160, "from layer 100 of the backbone on", 1_863_873, kept_epoch=7, **two, **common),
    ]
    fields = {
        "recipe_name": "cats_dogs",
        "backbone": "MobileNetV2",
        "metrics": metrics,
        "stages": stages,
        "training_images": 1_999,
        "digests": {"Records": "ab" * 32, "Weights of the model": "cd" * 32},
        "augmented": True,
    }
    return ReportContent(**{**fields, **changes})


def make_placeholders(folder: Path) -> None:
    """Seven grey squares, where a test is not about the pictures."""
    folder.mkdir(parents=True)
    for name in PICTURES:
        Image.new("RGB", (8, 8), "grey").save(folder / f"{name}.png", dpi=(96, 96))


def make_report(folder: Path, classes, examples=60, noise=2.0, *, with_pictures=False, **changes) -> str:
    """A whole report, its pictures in a folder of their own; real ones take seconds."""
    metrics = compute_metrics(make_table(classes, examples, noise), classes, 0.95)["test"]
    stages = {
        "stage_one": write_history(folder / "one", 4, 0.5),
        "stage_two": write_history(folder / "two", 3, 0.8),
    }
    if with_pictures:
        make_pictures(folder / "pictures", metrics, classes, read_histories(stages))
    else:
        make_placeholders(folder / "pictures")
    return render_report(make_content(metrics, **changes), folder / "pictures")
