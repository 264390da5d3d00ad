"""Draws a report's pictures into a folder: of the training, and of the metrics."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from thaw.pipeline_config.augment_schema import Augmentation
from thaw.tasks.evaluation.examples import read_example
from thaw.tasks.evaluation.metrics import SplitMetrics
from thaw.tasks.records.read import SplitReader
from thaw.tasks.report.history import learning_curves
from thaw.tasks.report.images import augmentations, thumbnail
from thaw.tasks.report.pictures.augmentations import draw_augmentations
from thaw.tasks.report.pictures.confusion import draw_confusion_matrix
from thaw.tasks.report.pictures.curves import draw_learning_curves
from thaw.tasks.report.pictures.reliability import draw_reliability
from thaw.tasks.report.pictures.samples import draw_samples
from thaw.tasks.report.pictures.style import save_picture
from thaw.tasks.report.selection import samples_per_class, shown_classes, some_images

_MOST_CLASSES = 10
_SAMPLES = 6  # images a class; one less where there are many classes, for a smaller file


@dataclass(frozen=True)
class Gallery:
    """Where the pictures go, an existing folder, and what chooses the images in them."""

    folder: Path
    classes: Sequence[str]
    seed: int

    def draw_training(self, reader: SplitReader, resolution: int, operations: Sequence[Augmentation]) -> None:
        """Draw training images by class, and one under nine of the first stage's augmentations, at its resolution."""
        labels = shown_classes(len(self.classes), _MOST_CLASSES)
        wanted = _SAMPLES if len(labels) <= 5 else _SAMPLES - 1
        found = samples_per_class(
            lambda index: read_example(reader, index).label, reader.examples, labels, wanted, self.seed
        )
        rows = [
            (self.classes[label], [thumbnail(read_example(reader, index).encoded) for index in indices])
            for label, indices in found.items()
        ]
        save_picture(self.folder / "samples.png", lambda: draw_samples(rows), photos=True)
        chosen = some_images(reader.examples, 1, self.seed)[0]
        encoded = read_example(reader, chosen).encoded
        versions = augmentations(encoded, self.seed, resolution, operations)
        save_picture(
            self.folder / "augmentations.png", lambda: draw_augmentations(thumbnail(encoded), versions), photos=True
        )

    def draw_history(self, history: pa.Table, kept_epochs: Sequence[int]) -> None:
        """Draw the learning curves; `kept_epochs` are those whose weights were kept, counted within the stages."""
        accuracy, loss = learning_curves(history, "accuracy"), learning_curves(history, "loss")
        save_picture(self.folder / "learning_curves.png", lambda: draw_learning_curves(accuracy, loss, kept_epochs))

    def draw_metrics(self, metrics: SplitMetrics) -> None:
        """Draw the confusion matrix and the reliability diagram."""
        matrix = metrics["confusion_matrix"]["matrix"]
        save_picture(self.folder / "confusion_matrix.png", lambda: draw_confusion_matrix(matrix, self.classes))
        save_picture(
            self.folder / "reliability.png",
            lambda: draw_reliability(
                metrics["calibration"], metrics["uncalibrated"]["calibration"], metrics["confidence"]
            ),
        )
