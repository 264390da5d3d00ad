"""Computes features, in a child process: the frozen layers' outputs for each image and view, written as they come."""

import contextlib
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from thaw.pipeline_config.errors import TrainingError
from thaw.pipeline_config.preprocessing import fit_of
from thaw.tasks.artifacts.refusals import writing
from thaw.tasks.artifacts.store import write_json
from thaw.tasks.pace import ProgressCounter
from thaw.tasks.process import Reporter
from thaw.tasks.records.read import SplitReader
from thaw.tasks.training.devices import computing_in
from thaw.tasks.training.features.choice import Cost, pays
from thaw.tasks.training.features.files import (
    DOCUMENT_NAME,
    VALIDATION_NAME,
    FeaturesDocument,
    RowsWriter,
    RowType,
    labels_name,
    view_name,
)
from thaw.tasks.training.features.prefix import Compute, FrozenOutput, find_frozen_output, frozen_models
from thaw.tasks.training.features.step import FeaturesFacts, FeaturesStep, FeaturesTarget, FeaturesWork
from thaw.tasks.training.pipeline import augmented, epoch_seed, evaluation_batches, prepared_ahead, stage_salt
from thaw.tasks.training.start import build_start, prepare_process

IMAGES_AT_A_TIME = 16  # through the network, counting each view; with more, they leave the processor's cache
_LARGEST_FLOAT16 = 65504.0
_ROOM_TO_LEAVE = 500_000_000  # bytes: the run goes on to write stages and a release


class _TooLargeError(Exception):
    """A number does not fit into float16; holds the stage's name."""


@dataclass
class _Target:
    """A features artifact that is to be made, and what is decided of it."""

    step: FeaturesStep
    folder: Path
    frozen: FrozenOutput | None  # None where nothing can be kept
    document: FeaturesDocument


def compute_features(work: FeaturesWork, reporter: Reporter) -> list[FeaturesFacts]:
    """Decide for each stage whether keeping the frozen layers' outputs pays, and if so, write them, in one pass.

    Raises:
        RecipeError: A stage asks for something that the backbone does not have.
        TrainingError: The frozen layers put out a number that is not finite.
        ArtifactError: An input fails its check, or a file cannot be written.
    """
    step, store = work.step, work.home.store
    strategy = prepare_process(step, step.draws)
    records = store.verified(step.records)
    with (
        SplitReader(records, "train") as train,
        SplitReader(records, "validation") as validation,
        strategy.scope(),
        computing_in(step.precision),
    ):
        model = build_start(step, store, classes=len(train.classes), resolution=step.resolution)
        targets = [_decide(each, model, train.examples) for each in work.targets]
        needed = [each.document.bytes_of(train.examples, validation.examples) for each in targets]
        kept = [each for each in targets if each.document.views]
        free = shutil.disk_usage(work.folder).free
        if has_room := not kept or free >= sum(needed) + _ROOM_TO_LEAVE:
            for target in targets:
                reporter.log(target.document.decision)
            if kept:
                outputs = [each.frozen for each in kept if each.frozen is not None]
                computes = [Compute(each) for each in frozen_models(model, outputs)]
                _Pass(step, train, validation, kept, computes, reporter).write()
        else:
            reporter.warn(_word_for_lack_of_room(kept, sum(needed), free))
            for target in kept:
                decision = f"{target.step.name}: nothing is kept: the disk has no room."
                target.document = target.document.model_copy(update={"views": 0, "decision": decision})
    for target in targets:
        with writing(target.folder / DOCUMENT_NAME):
            write_json(target.folder / DOCUMENT_NAME, target.document.model_dump(mode="json"))
    return [
        FeaturesFacts(has_room=has_room or not size, decision=target.document.decision, bytes=size if has_room else 0)
        for target, size in zip(targets, needed, strict=True)
    ]


def _decide(target: FeaturesTarget, model: keras.Model, images: int) -> _Target:
    step = target.step
    frozen = find_frozen_output(model, step.model.backbone, step.name, step.train)
    if frozen is None:
        decision = f"{step.name}: nothing is kept: no single tensor comes before the thawed layers."
        nothing = FeaturesDocument(views=0, shape=[], type="float32", decision=decision)
        return _Target(step, target.folder, None, nothing)
    # Pooled features are few, so they are kept as they are; what lies before the pooling is many times as much.
    row_type: RowType = "float32" if frozen.is_pooled else "float16"
    wanted = FeaturesDocument(views=step.views, shape=frozen.shape, type=row_type, decision="")
    cost = Cost(images, step.views, wanted.row_bytes, frozen.multiplications, frozen.others)
    if step.forced:
        decision, views = f"{step.name}: frozen outputs are kept, as feature_views asks: {cost.words}.", step.views
    elif pays(cost):
        decision, views = f"{step.name}: frozen outputs are kept: {cost.words}.", step.views
    else:
        decision, views = f"{step.name}: nothing is kept, it would not pay: {cost.words}.", 0
    return _Target(step, target.folder, frozen, wanted.model_copy(update={"views": views, "decision": decision}))


def _word_for_lack_of_room(targets: Sequence[_Target], needed: int, free: int) -> str:
    stages = " and ".join(target.step.name for target in targets)
    return (
        f"{stages}: the frozen layers' outputs take {needed / 1e6:.0f} MB, and {_ROOM_TO_LEAVE / 1e6:.0f} MB should "
        f"stay free; the disk has {free / 1e6:.0f} MB. Training goes on without them, more slowly. Make room, or set "
        "feature_views to a smaller number, or to 0."
    )


@dataclass(frozen=True)
class _Pass:
    """Runs all images through the frozen layers, and writes what comes out for each target."""

    step: FeaturesStep
    train: SplitReader
    validation: SplitReader
    targets: Sequence[_Target]
    computes: Sequence[Compute]
    reporter: Reporter

    def write(self) -> None:
        """Write all files but the documents, which then say of what type the numbers are."""
        while True:
            try:
                self._write_all()
            except _TooLargeError as error:
                # From the beginning, so that what is kept does not depend on where the large number stands.
                self.reporter.log(f"{error}: float16 is too small for what is kept; it is kept as bfloat16.")
                for target in self.targets:
                    if target.step.name == str(error):
                        target.document = target.document.model_copy(update={"type": "bfloat16"})
            else:
                return

    def _write_all(self) -> None:
        views = max(target.document.views for target in self.targets)
        total = self.train.examples * views + self.validation.examples
        progress = ProgressCounter(self.reporter, total, "views through the frozen layers")
        self._write_split("train", self._training_views(views), views, progress)
        how = fit_of(self.step.resolution, self.step.augment)
        batches = evaluation_batches(self.validation, how, batch_size=IMAGES_AT_A_TIME)
        self._write_split("validation", ((i, y) for i, y, _ in batches), 1, progress)

    def _training_views(self, views: int) -> tf.data.Dataset:
        """Give (images float32 (images · views, height, width, 3), labels), an image's views in a row."""
        step, reader = self.step, self.train

        def example(index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            encoded, label, _ = reader.tensor_example(index)
            salt = stage_salt(step.draws)
            seeds = [epoch_seed(step.seed, salt, tf.constant(view, tf.int64)) for view in range(views)]
            return augmented(encoded, index, seeds, step.resolution, step.augment), label

        def flatten(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return tf.reshape(images, [-1, step.resolution, step.resolution, 3]), labels

        batch_size = max(IMAGES_AT_A_TIME // views, 1)
        examples = tf.data.Dataset.range(reader.examples).map(example, tf.data.AUTOTUNE, deterministic=True)
        return prepared_ahead(examples.batch(batch_size).map(flatten))

    def _write_split(
        self, split: str, batches: Iterable[tuple[tf.Tensor, tf.Tensor]], views: int, progress: ProgressCounter
    ) -> None:
        examples, labels = self.train.examples if split == "train" else self.validation.examples, []
        with writing(self.targets[0].folder), contextlib.ExitStack() as stack:
            files = {
                target.step.name: [
                    stack.enter_context(
                        RowsWriter(target.folder / name, examples, target.document.shape, target.document.type)
                    )
                    for name in _names(split, target.document.views)
                ]
                for target in self.targets
            }
            for images, batch_labels in batches:
                outputs = {name: rows for compute in self.computes for name, rows in compute(images).items()}
                for target in self.targets:
                    name, document = target.step.name, target.document
                    rows = _checked(outputs[name].numpy(), name, document.type).reshape(-1, views, *document.shape)
                    for view, file in enumerate(files[name]):
                        file.write(rows[:, view])
                labels += batch_labels.numpy().tolist()
                progress.advance(len(images))
            for target in self.targets:
                np.save(target.folder / labels_name(split), np.asarray(labels, np.int32), allow_pickle=False)


def _names(split: str, views: int) -> list[str]:
    return [VALIDATION_NAME] if split == "validation" else [view_name(view) for view in range(views)]


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
