"""Draws all of a report's pictures into a folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from thaw.pipeline_config.augment_schema import Augmentation
from thaw.tasks.evaluation.examples import augmentations, read_example, thumbnail
from thaw.tasks.evaluation.history import learning_curves
from thaw.tasks.evaluation.metrics import SplitMetrics
from thaw.tasks.evaluation.pictures.answers import Answer, draw_answers
from thaw.tasks.evaluation.pictures.augmentations import draw_augmentations
from thaw.tasks.evaluation.pictures.confusion import draw_confusion_matrix
from thaw.tasks.evaluation.pictures.curves import draw_learning_curves
from thaw.tasks.evaluation.pictures.reliability import draw_reliability
from thaw.tasks.evaluation.pictures.samples import draw_samples
from thaw.tasks.evaluation.pictures.style import save_picture
from thaw.tasks.evaluation.predictions import top_probability
from thaw.tasks.evaluation.selection import most_confident_mistakes, samples_per_class, shown_classes, some_images
from thaw.tasks.records.read import SplitReader

_ANSWERS = 9
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
            self.folder / "reliability.png", lambda: draw_reliability(metrics["calibration"], metrics["confidence"])
        )

    def draw_test(self, reader: SplitReader, table: pa.Table) -> None:
        """Draw some test images with the model's answers, and the mistakes of which it was most sure.

        The predictions are in the order of the records.
        """
        some = self._answers(reader, table, some_images(table.num_rows, _ANSWERS, self.seed))
        mistakes = self._answers(reader, table, most_confident_mistakes(table, _ANSWERS))
        sentence = f"No mistakes: all {table.num_rows:,} test images are right."
        save_picture(self.folder / "test_images.png", lambda: draw_answers(some, if_none=sentence), photos=True)
        save_picture(self.folder / "mistakes.png", lambda: draw_answers(mistakes, if_none=sentence), photos=True)

    def _answers(self, reader: SplitReader, table: pa.Table, rows: Sequence[int]) -> list[Answer]:
        top = top_probability(table)
        return [
            Answer(
                pixels=thumbnail(read_example(reader, row).encoded),
                predicted=table["predicted_class"][row].as_py(),
                true=table["class_name"][row].as_py(),
                probability=float(top[row]),
            )
            for row in rows
        ]
