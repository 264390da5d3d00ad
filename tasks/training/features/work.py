"""Computes features, in a child process: the frozen layers' outputs for each image and view, written as they come."""

import contextlib
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from thaw.pipeline_config.errors import TrainingError
from thaw.pipeline_config.preprocessing import fit_of
from thaw.tasks.artifacts.atomic import writing
from thaw.tasks.artifacts.store import ArtifactStore
from thaw.tasks.pace import ProgressCounter
from thaw.tasks.process import Reporter
from thaw.tasks.records.read import SplitReader
from thaw.tasks.training.devices import computing_in
from thaw.tasks.training.features.choice import Cost, pays
from thaw.tasks.training.features.files import (
    DOCUMENT_NAME,
    FeaturesDocument,
    RowsWriter,
    RowType,
    TapFeatures,
    labels_name,
    validation_name,
    view_name,
    write_document,
)
from thaw.tasks.training.features.prefix import Compute, Frozen, find_frozen, join
from thaw.tasks.training.features.step import FeaturesStep, FeaturesWork, Tap
from thaw.tasks.training.pipeline import augmented, epoch_seed, evaluation_batches, prepared_ahead, stage_salt
from thaw.tasks.training.start import build_start, prepare_process

IMAGES_AT_A_TIME = 16  # through the network, counting each view; with more, they leave the processor's cache
_LARGEST_FLOAT16 = 65504.0
_ROOM_TO_LEAVE = 500_000_000  # bytes: the run goes on to write stages and a release


class _TooLargeError(Exception):
    """A number does not fit into float16."""

    def __init__(self, stage: str) -> None:
        super().__init__(stage)
        self.stage = stage


def compute_features(work: FeaturesWork, reporter: Reporter) -> dict[str, Any]:
    """Decide for each tap whether keeping the frozen layers' outputs pays, and if so, write them.

    Args:
        work: The request, the home folder and the folder to fill.
        reporter: Takes progress and log lines.

    Returns:
        Facts: whether there was room, what was decided, the bytes, and the seconds that it took.

    Raises:
        RecipeError: A stage asks for something that the backbone does not have.
        TrainingError: The frozen layers put out a number that is not finite.
        ArtifactError: An input fails its check, or a file cannot be written.
    """
    started, step, store = time.monotonic(), work.step, ArtifactStore(work.home)
    strategy = prepare_process(step)
    records = store.open(step.records)
    with (
        SplitReader(records, "train") as train,
        SplitReader(records, "validation") as validation,
        strategy.scope(),
        computing_in(step.precision),
    ):
        model = build_start(step, store, classes=len(train.classes), resolution=step.resolution)
        found = {tap.stage: find_frozen(model, tap, step.model.backbone) for tap in step.taps}
        decided = {tap.stage: _decide(tap, found[tap.stage], train.examples) for tap in step.taps}
        kept = [frozen for frozen in found.values() if frozen is not None and decided[frozen.tap.stage].views]
        needed = sum(tap.bytes_of(train.examples, validation.examples) for tap in decided.values())
        free = shutil.disk_usage(work.folder).free
        if has_room := not kept or free >= needed + _ROOM_TO_LEAVE:
            for tap in decided.values():
                reporter.log(tap.decision)
            if kept:
                writer = _Writer(work, train, validation, kept, reporter)
                decided |= writer.write(Compute(join(model, kept)), decided)
        else:
            reporter.warn(_word_for_lack_of_room(step, needed, free))
            decided = {}
    with writing(work.folder / DOCUMENT_NAME):
        write_document(work.folder, FeaturesDocument(taps=decided))
    return {
        "room": has_room,
        "decisions": {stage: tap.decision for stage, tap in decided.items()},
        "bytes": needed if has_room else 0,
        "seconds": time.monotonic() - started,
    }


def _decide(tap: Tap, frozen: Frozen | None, images: int) -> TapFeatures:
    if frozen is None:
        decision = f"{tap.stage}: nothing is kept: no single tensor comes before the thawed layers."
        return TapFeatures(views=0, shape=[], type="float32", decision=decision)
    # Pooled features are few, so they are kept as they are; what lies before the pooling is many times as much.
    row_type: RowType = "float32" if frozen.is_pooled else "float16"
    wanted = TapFeatures(views=tap.views, shape=frozen.shape, type=row_type, decision="")
    cost = Cost(images, tap.views, wanted.row_bytes, frozen.multiplications, frozen.others)
    if tap.forced:
        decision, views = f"{tap.stage}: frozen outputs are kept, as feature_views asks: {cost.words}.", tap.views
    elif pays(cost):
        decision, views = f"{tap.stage}: frozen outputs are kept: {cost.words}.", tap.views
    else:
        decision, views = f"{tap.stage}: nothing is kept, it would not pay: {cost.words}.", 0
    return wanted.model_copy(update={"views": views, "decision": decision})


def _word_for_lack_of_room(step: FeaturesStep, needed: int, free: int) -> str:
    stages = " and ".join(tap.stage for tap in step.taps)
    return (
        f"{stages}: the frozen layers' outputs take {needed / 1e6:.0f} MB, and {_ROOM_TO_LEAVE / 1e6:.0f} MB should "
        f"stay free; the disk has {free / 1e6:.0f} MB. Training goes on without them, more slowly. Make room, or set "
        "feature_views to a smaller number, or to 0."
    )


@dataclass(frozen=True)
class _Writer:
    """Runs all images through the frozen layers, and writes what comes out."""

    work: FeaturesWork
    train: SplitReader
    validation: SplitReader
    frozen: Sequence[Frozen]
    reporter: Reporter

    def write(self, compute: Compute, decided: dict[str, TapFeatures]) -> dict[str, TapFeatures]:
        """Write all files but the document.

        Args:
            compute: From images to the outputs, by the stage's name.
            decided: By the stage's name.

        Returns:
            What was written of each tap: with bfloat16 where float16 would overflow.
        """
        taps = {each.tap.stage: decided[each.tap.stage] for each in self.frozen}
        while True:
            try:
                self._write_all(compute, taps)
            except _TooLargeError as error:
                # From the beginning, so that what is kept does not depend on where the large number stands.
                self.reporter.log(f"{error.stage}: float16 is too small for what is kept; it is kept as bfloat16.")
                taps[error.stage] = taps[error.stage].model_copy(update={"type": "bfloat16"})
            else:
                return taps

    def _write_all(self, compute: Compute, taps: dict[str, TapFeatures]) -> None:
        views = max(tap.views for tap in taps.values())
        total = self.train.examples * views + self.validation.examples
        progress = ProgressCounter(self.reporter, total, "views through the frozen layers")
        self._write_split("train", self._training_views(views), compute, taps, views, progress)
        how = fit_of(self.work.step.resolution, self.work.step.augment)
        batches = evaluation_batches(self.validation, how, batch_size=IMAGES_AT_A_TIME)
        self._write_split("validation", ((i, y) for i, y, _ in batches), compute, taps, 1, progress)

    def _training_views(self, views: int) -> tf.data.Dataset:
        """Give (images float32 (images · views, height, width, 3), labels), an image's views in a row."""
        step, reader = self.work.step, self.train

        def example(index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            encoded, label, _ = reader.tensor_example(index)
            seeds = [epoch_seed(step.seed, stage_salt(step.name), tf.constant(view, tf.int64)) for view in range(views)]
            return augmented(encoded, index, seeds, step.resolution, step.augment), label

        def flatten(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return tf.reshape(images, [-1, self.work.step.resolution, self.work.step.resolution, 3]), labels

        batch_size = max(IMAGES_AT_A_TIME // views, 1)
        examples = tf.data.Dataset.range(reader.examples).map(example, tf.data.AUTOTUNE, deterministic=True)
        return prepared_ahead(examples.batch(batch_size).map(flatten))

    def _write_split(
        self,
        split: str,
        batches: Iterable[tuple[tf.Tensor, tf.Tensor]],
        compute: Compute,
        taps: dict[str, TapFeatures],
        views: int,
        progress: ProgressCounter,
    ) -> None:
        examples = self.train.examples if split == "train" else self.validation.examples
        folder, labels = self.work.folder, []
        with writing(folder), contextlib.ExitStack() as stack:
            files = {
                stage: [
                    stack.enter_context(RowsWriter(folder / name, examples, tap.shape, tap.type))
                    for name in self._names(split, stage, tap)
                ]
                for stage, tap in taps.items()
            }
            for images, batch_labels in batches:
                for stage, output in compute(images).items():
                    tap = taps[stage]
                    rows = _checked(output.numpy(), stage, tap.type).reshape(-1, views, *tap.shape)
                    for view, file in enumerate(files[stage]):
                        file.write(rows[:, view])
                labels += batch_labels.numpy().tolist()
                progress.advance(len(images))
            np.save(folder / labels_name(split), np.asarray(labels, np.int32), allow_pickle=False)

    @staticmethod
    def _names(split: str, stage: str, tap: TapFeatures) -> list[str]:
        if split == "validation":
            return [validation_name(stage)]
        return [view_name(stage, view) for view in range(tap.views)]


def _checked(rows: NDArray[np.float32], stage: str, row_type: RowType) -> NDArray[np.float32]:
    largest = np.abs(rows).max(initial=0.0)
    if not np.isfinite(largest):
        raise TrainingError(
            f"{stage}: the frozen layers put out {largest}, expected finite numbers. "
            "Check the weights that the stage starts from, or try precision: float32."
        )
    if row_type == "float16" and largest > _LARGEST_FLOAT16:
        raise _TooLargeError(stage)
    return rows
