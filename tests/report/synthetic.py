"""Made-up results that look like real ones: predictions, histories, pictures and a whole report."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from thaw.tasks.evaluation.earned import STAGE_ONE, STAGE_ONE_AT_STAGE_TWO, STAGE_TWO, StagesTested
from thaw.tasks.evaluation.intervals import agresti_min_interval
from thaw.tasks.evaluation.metrics import SplitMetrics, compute_metrics
from thaw.tasks.evaluation.predictions import predictions_table
from thaw.tasks.releases.verdict import Comparison, ReleasedModel, SliceResult, Verdict
from thaw.tasks.releases.verdict import TestMetrics as Metrics
from thaw.tasks.report.content import Answer, Changed, ChangedClass, ReportContent, StageSummary
from thaw.tasks.report.history import learning_curves
from thaw.tasks.report.page import render_report
from thaw.tasks.report.pictures.augmentations import draw_augmentations
from thaw.tasks.report.pictures.confusion import draw_confusion_matrix
from thaw.tasks.report.pictures.curves import draw_learning_curves
from thaw.tasks.report.pictures.reliability import draw_reliability
from thaw.tasks.report.pictures.samples import draw_samples
from thaw.tasks.report.pictures.style import save_picture

PICTURES = ("augmentations", "confusion_matrix", "learning_curves", "reliability", "samples")
ORIGIN = "photos of the garden/2024/IMG_20240611_{:06}.jpg"


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
    pq.write_table(make_history(epochs, start_accuracy), folder / "history.parquet")
    return folder


def make_history(epochs, start_accuracy):
    """What a stage notes of its epochs."""
    steps = np.arange(epochs + 1)
    accuracy = 1 - (1 - start_accuracy) * 0.7**steps
    return pa.table(
        {
            "epoch": pa.array(steps, pa.int32()),
            "loss": pa.array([None, *(1.1 - accuracy[1:])], pa.float64()),
            "accuracy": pa.array([None, *(accuracy[1:] - 0.02)], pa.float64()),
            "val_loss": pa.array(1 - accuracy, pa.float64()),
            "val_accuracy": pa.array(accuracy, pa.float64()),
            "learning_rate": pa.array([0.0, *([1e-3] * epochs)], pa.float64()),
        }
    )


def make_histories():
    """Both stages' histories below each other, of four and of three epochs."""
    parts = {"stage_one": make_history(4, 0.5), "stage_two": make_history(3, 0.8)}
    return pa.concat_tables(
        [part.add_column(0, "stage", pa.array([name] * part.num_rows, pa.string())) for name, part in parts.items()]
    )


def make_photo(seed, height=48, width=64):
    """Smooth noise: it has as many colours as a photo."""
    random = np.random.default_rng(seed)
    corners = random.uniform(0, 255, size=(2, 2, 3))
    down, across = np.linspace(0, 1, height)[:, None, None], np.linspace(0, 1, width)[None, :, None]
    top, bottom = (corners[row, 0] * (1 - across) + corners[row, 1] * across for row in (0, 1))
    return (top * (1 - down) + bottom * down).astype(np.uint8)


def make_pictures(folder: Path, metrics: SplitMetrics, classes) -> None:
    """All pictures of a report."""
    folder.mkdir(parents=True)
    photos = [make_photo(seed) for seed in range(9)]
    rows, history = [(name, photos[:3]) for name in classes[:10]], make_histories()
    save_picture(folder / "samples.png", lambda: draw_samples(rows), photos=True)
    save_picture(folder / "augmentations.png", lambda: draw_augmentations(photos[0], photos), photos=True)
    accuracy, loss = learning_curves(history, "accuracy"), learning_curves(history, "loss")
    save_picture(folder / "learning_curves.png", lambda: draw_learning_curves(accuracy, loss, [4, 3]))
    matrix = metrics["confusion_matrix"]["matrix"]
    save_picture(folder / "confusion_matrix.png", lambda: draw_confusion_matrix(matrix, classes))
    save_picture(
        folder / "reliability.png",
        lambda: draw_reliability(metrics["calibration"], metrics["uncalibrated"]["calibration"], metrics["confidence"]),
    )


def make_placeholders(folder: Path) -> None:
    """Grey squares, where a test is not about the pictures."""
    folder.mkdir(parents=True)
    for name in PICTURES:
        Image.new("RGB", (8, 8), "grey").save(folder / f"{name}.png", dpi=(96, 96))


def make_answer(number, true, predicted, champion=None) -> Answer:
    """An image that is as wide or as high as photos are."""
    buffer = io.BytesIO()
    Image.fromarray(make_photo(number, *((192, 256) if number % 3 else (256, 192)))).save(buffer, "JPEG")
    uri = f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    return Answer(uri, ORIGIN.format(number), true, predicted, 0.999 - number / 100, champion, 0.61 if champion else 0)


def make_changed(classes, images_of, *, better: bool, more: int = 0) -> Changed:
    """Some images of the first classes that got better or worse, as many as `images_of` says; at most four of each."""
    found = []
    for place, count in enumerate(images_of):
        true, wrong = classes[place % len(classes)], classes[(place + 1) % len(classes)]
        said, champion = (true, wrong) if better else (wrong, true)
        shown = [make_answer(5 * place + number, true, said, champion) for number in range(min(count, 4))]
        found.append(ChangedClass(true, shown, more=count - len(shown)))
    return Changed(images=sum(images_of) + more, classes=found, more=more)


def make_verdict(gained=6, lost=4, images=141, left_out=0, champion="flowers-5304beb14c59", **changes) -> Verdict:
    """A verdict on two models, or on a first one with `champion=None`."""
    both = max(images - gained - lost - images // 20, 0)
    accuracy, other = ((both + alone) / images if images else 0.0 for alone in (gained, lost))
    compared = Comparison(
        images=images,
        left_out=left_out,
        gained=gained,
        lost=lost,
        accuracy=accuracy,
        other_accuracy=other,
        difference_ci=agresti_min_interval(gained, lost, images, 0.95),
        p_better=0.4,
        p_worse=0.6,
    )
    values: dict[str, Any] = {
        "verdict": "not shown" if champion else "first",
        "promote": champion is None,
        "reason": f"On {images} test images, the new model alone is right on {gained} and another alone on {lost}.",
        "candidate": Metrics(examples=images + left_out, accuracy=accuracy, accuracy_ci=(0.9, 0.97)),
        "champion": ReleasedModel(release=champion, weights="ab" * 32, dataset="cd" * 32) if champion else None,
        "anchor": None,
        "compared": compared,
        "compared_with_anchor": None,
    }
    return Verdict(**{**values, **changes})


def make_parts(values: Sequence[str], name: str = "folder") -> list[SliceResult]:
    """Parts of the test images, each compared with the champion."""
    compared = make_verdict(3, 1, 40).compared
    return [
        SliceResult(name=name, value=value, images=40, accuracy=0.95, accuracy_ci=(0.83, 0.99), compared=compared)
        for value in values
    ]


def make_tested(classes, examples=60, noise=2.0, resolutions=(128, 160)) -> StagesTested:
    """Three sets of weights, each better than the last."""
    one, two = resolutions
    tables = {
        STAGE_ONE: make_table(classes, examples, noise * 1.4, seed=1),
        STAGE_ONE_AT_STAGE_TWO: make_table(classes, examples, noise * 1.2, seed=2),
        STAGE_TWO: make_table(classes, examples, noise),
    }
    return StagesTested.of(tables, {STAGE_ONE: one, STAGE_ONE_AT_STAGE_TWO: two, STAGE_TWO: two}, 0.95)


def make_content(classes, metrics: SplitMetrics, **changes) -> ReportContent:
    """What a report says, with two stages of which the second starts lower than the first ended."""
    common: dict[str, Any] = {"parameters": 2_260_546, "epochs": 10}
    one: dict[str, Any] = {"accuracy_before": 0.512, "accuracy_after": 0.965, "loss_before": 0.71, "loss_after": 0.11}
    two: dict[str, Any] = {"accuracy_before": 0.951, "accuracy_after": 0.977, "loss_before": 0.14, "loss_after": 0.06}
    stages = [
        StageSummary("stage one", 128, "the head; the backbone is frozen", 2_562, kept_epoch=10, **one, **common),
        StageSummary("stage two", 160, "from layer 100 of the backbone on", 1_863_873, kept_epoch=7, **two, **common),
    ]
    last = classes[-1]
    fields = {
        "recipe_name": "cats_dogs",
        "source": "directory",
        "images": {"train": 1_999, "validation": 400, "test": metrics["examples"]},
        "backbone": "MobileNetV2",
        "resolution": 160,
        "choice": "",
        "verdict": make_verdict(),
        "metrics": metrics,
        "tested": make_tested(classes, metrics["examples"]),
        "stages": stages,
        "better": make_changed(classes, (5, 1), better=True),
        "worse": make_changed(classes, (3, 1), better=False),
        "mistakes": [make_answer(number, classes[0], last) for number in range(9)],
        "some": [make_answer(number, last, last if number % 3 else classes[0]) for number in range(9)],
        "augmented": True,
        "python": 'import keras\n\nmodel = keras.saving.load_model("model.keras")\n',
        "digests": {"Records": "ab" * 32, "Weights of the model": "cd" * 32},
    }
    return ReportContent(**{**fields, **changes})


def make_report(folder: Path, classes, examples=60, noise=2.0, *, with_pictures=False, **changes) -> str:
    """A whole report, its pictures in a folder of their own; real ones take seconds."""
    metrics = compute_metrics(make_table(classes, examples, noise), classes, 0.95)["test"]
    if metrics["correct"] == examples:
        changes["mistakes"] = []
    if with_pictures:
        make_pictures(folder / "pictures", metrics, classes)
    else:
        make_placeholders(folder / "pictures")
    return render_report(make_content(classes, metrics, **changes), folder / "pictures")
