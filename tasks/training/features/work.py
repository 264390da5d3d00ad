"""Computes features, in a child process: the frozen layers' outputs for each image and view, written as they come."""

import contextlib
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from thaw.pipeline_config.dataset_schema import SplitName
from thaw.pipeline_config.errors import StepProcessError, TrainingError
from thaw.pipeline_config.preprocessing import fit_of
from thaw.tasks.artifacts.refusals import writing
from thaw.tasks.artifacts.store import ArtifactStore, write_json
from thaw.tasks.pace import AtMostEvery, ProgressCounter
from thaw.tasks.process import Reporter, asked_to_leave
from thaw.tasks.records.read import SplitReader
from thaw.tasks.training.devices import computing_in, infer_in_order
from thaw.tasks.training.features.choice import Cost, pays
from thaw.tasks.training.features.earlier import EarlierRows
from thaw.tasks.training.features.files import DOCUMENT_NAME, FeatureReader, FeaturesDocument, id_bytes, read_document
from thaw.tasks.training.features.prefix import Compute, FrozenOutput, find_frozen_output, frozen_models
from thaw.tasks.training.features.rows import STORED, RowType, encode
from thaw.tasks.training.features.step import FeaturesFacts, FeaturesStep, FeaturesTarget, FeaturesWork
from thaw.tasks.training.features.unfinished import Unfinished
from thaw.tasks.training.pipeline import augmented, epoch_seed, evaluation_batches, prepared_ahead, stage_salt
from thaw.tasks.training.start import build_start, prepare_process

IMAGES_AT_A_TIME = 16  # through the network, counting each view; with more, they leave the processor's cache
_BYTES_AT_A_TIME = 8_000_000  # written of a view
_LARGEST_FLOAT16 = 65504.0
_SECONDS_BETWEEN_SAVES = 60.0
_ROOM_TO_LEAVE = 500_000_000  # bytes: the run goes on to write stages and a release


class _TooLargeError(Exception):
    """A number does not fit into float16; holds the stage's name."""


@dataclass(frozen=True)
class _Block:
    """What the frozen layers put out for some images of a split."""

    end: int  # up to this position nothing else is to be computed
    positions: NDArray[np.int64]
    rows: Mapping[str, NDArray[Any]]  # by the stage's name: (images, views, …), of the type in which they are kept


@dataclass
class _Target:
    """A features artifact that is to be made, and what is decided of it."""

    step: FeaturesStep
    folder: Path
    frozen: FrozenOutput | None  # None where nothing can be kept
    document: FeaturesDocument
    unfinished: Unfinished
    earlier: list[FeatureReader] = field(default_factory=list)  # that may have rows of the same images

    def find_earlier(self, store: ArtifactStore, stack: contextlib.ExitStack) -> None:
        """Open earlier features, of which the stack closes the files."""
        folders = [folder for folder in store.relatives(self.step) if read_document(folder).views]
        self.earlier = [stack.enter_context(FeatureReader(folder)) for folder in folders]

    def earlier_rows(self, split: SplitName, ids: NDArray[np.bytes_]) -> EarlierRows:
        """Look for rows of a split's images, of the type in which they are kept now."""
        wanted = (self.document.views, tuple(self.document.shape), self.document.type)
        usable = [each for each in self.earlier if (each.views, each.shape, each.type) == wanted]
        return EarlierRows(usable, split, ids)

    def views_of(self, split: SplitName) -> range:
        """List the views of each image of a split."""
        return range(self.document.views if split == "train" else 1)

    def rows(self, block: _Block, known: EarlierRows, view: int, start: int, end: int) -> NDArray[Any]:
        """Put together a view of the images at the positions from `start` to `end`, from what is known of them."""
        rows = np.empty((end - start, *self.document.shape), STORED[self.document.type])
        known.fill(rows, view, start)
        if block.rows:
            inside = slice(*np.searchsorted(block.positions, (start, end)))
            rows[block.positions[inside] - start] = block.rows[self.step.name][inside, view]
        return rows

    def begin_again(self, row_type: RowType) -> None:
        """Forget what is there, and keep numbers of another type."""
        self.unfinished.begin_again(row_type)
        self.document = self.document.model_copy(update={"type": row_type})


def compute_features(work: FeaturesWork, reporter: Reporter) -> list[FeaturesFacts]:
    """Decide for each stage whether keeping the frozen layers' outputs pays, and if so, write them, in one pass.

    Raises:
        RecipeError: A stage asks for something that the backbone does not have.
        TrainingError: The frozen layers put out a number that is not finite.
        ArtifactError: An input fails its check, or a file cannot be written.
        StepProcessError: The process was asked to leave; what is done is kept.
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
        model = build_start(step, store, classes=train.classes, resolution=step.resolution)
        targets = [_decide(each, model, train.examples, store, reporter) for each in work.targets]
        needed = [each.document.bytes_of(train.examples, validation.examples) for each in targets]
        kept = [each for each in targets if each.document.views]
        free = shutil.disk_usage(work.folder).free + sum(each.unfinished.bytes for each in kept)
        if has_room := not kept or free >= sum(needed) + _ROOM_TO_LEAVE:
            for target in targets:
                reporter.log(target.document.decision)
            if kept:
                outputs = [each.frozen for each in kept if each.frozen is not None]
                computes = [Compute(each) for each in frozen_models(model, outputs)]
                splits: dict[SplitName, SplitReader] = {"train": train, "validation": validation}
                with asked_to_leave() as asked, contextlib.ExitStack() as stack:
                    for target in kept:
                        target.find_earlier(store.telling(reporter.warn), stack)
                    _Pass(step, splits, kept, computes, asked, reporter).write()
                for target in kept:
                    target.unfinished.hand_over(target.folder)
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


def _decide(
    target: FeaturesTarget, model: keras.Model, images: int, store: ArtifactStore, reporter: Reporter
) -> _Target:
    step = target.step
    frozen = find_frozen_output(model, step.model.backbone, step.name, step.train)
    if frozen is None:
        decision = f"{step.name}: nothing is kept: no single tensor comes before the thawed layers."
        nothing = FeaturesDocument(views=0, shape=[], type="float32", decision=decision)
        return _Target(step, target.folder, None, nothing, Unfinished(store.checkpoints(step.key), "float32", reporter))
    # Pooled features are few, so they are kept as they are; what lies before the pooling is many times as much.
    unfinished = Unfinished(store.checkpoints(step.key), "float32" if frozen.is_pooled else "float16", reporter)
    row_type = unfinished.progress.type
    wanted = FeaturesDocument(views=step.views, shape=frozen.shape, type=row_type, decision="")
    cost = Cost(images, step.views, wanted.row_bytes, frozen.multiplications, frozen.others)
    if step.forced:
        decision, views = f"{step.name}: frozen outputs are kept, as feature_views asks: {cost.words}.", step.views
    elif pays(cost):
        decision, views = f"{step.name}: frozen outputs are kept: {cost.words}.", step.views
    else:
        decision, views = f"{step.name}: nothing is kept, it would not pay: {cost.words}.", 0
    document = wanted.model_copy(update={"views": views, "decision": decision})
    return _Target(step, target.folder, frozen, document, unfinished)


def _word_for_lack_of_room(targets: Sequence[_Target], needed: int, free: int) -> str:
    stages = " and ".join(target.step.name for target in targets)
    return (
        f"{stages}: the frozen layers' outputs take {needed / 1e6:.0f} MB, and {_ROOM_TO_LEAVE / 1e6:.0f} MB should "
        f"stay free; the disk has {free / 1e6:.0f} MB. Training goes on without them, more slowly. Make room, or set "
        "feature_views to a smaller number, or to 0."
    )


@dataclass(frozen=True)
class _Pass:
    """Runs the images that earlier features lack through the frozen layers, and writes all rows of each target."""

    step: FeaturesStep
    splits: Mapping[SplitName, SplitReader]  # train and validation
    targets: Sequence[_Target]
    computes: Sequence[Compute]
    asked_to_leave: Event
    reporter: Reporter
    since: float = field(default_factory=time.monotonic)

    def write(self) -> None:
        """Write all files but the documents, which then say of what type the numbers are.

        Raises:
            StepProcessError: The process was asked to leave; the next attempt goes on from there.
        """
        self.reporter.seconds_before = max(target.unfinished.progress.seconds for target in self.targets)
        while True:
            try:
                self._write_all()
            except _TooLargeError as error:
                # From the beginning, so that what is kept does not depend on where the large number stands.
                self.reporter.log(f"{error}: float16 is too small for what is kept; it is kept as bfloat16.")
                for target in self.targets:
                    if target.step.name == str(error):
                        target.begin_again("bfloat16")
            else:
                return

    def _write_all(self) -> None:
        views: dict[SplitName, int] = {"train": max(each.document.views for each in self.targets), "validation": 1}
        total = sum(views[split] * reader.examples for split, reader in self.splits.items())
        progress = ProgressCounter(self.reporter, total, "views of images written")
        for split, reader in self.splits.items():
            start = min(target.unfinished.done(split) for target in self.targets)
            if start:
                self.reporter.log(f"{self._names} go on after {start:,} of {reader.examples:,} {split} images.")
                progress.advance(start * views[split])
            if start < reader.examples:
                self._write_split(split, start, views[split], progress)

    @property
    def _names(self) -> str:
        return " and ".join(f"features of {target.step.name}" for target in self.targets)

    def _write_split(self, split: SplitName, start: int, views: int, progress: ProgressCounter) -> None:
        reader, is_due = self.splits[split], AtMostEvery(_SECONDS_BETWEEN_SAVES)
        is_due()  # of nothing, there is nothing to save
        earlier = [target.earlier_rows(split, reader.ids) for target in self.targets]
        missing = np.unique(np.concatenate([each.missing for each in earlier]))
        if taken_over := reader.examples - len(missing):
            self.reporter.log(
                f"{self._names}: {taken_over:,} of {reader.examples:,} {split} images are taken over from earlier ones."
            )
        at_a_time = max(_BYTES_AT_A_TIME // max(target.document.row_bytes for target in self.targets), 1)
        with contextlib.ExitStack() as stack:
            for target in self.targets:
                files = target.document.files(split, reader.examples)
                stack.enter_context(target.unfinished.writing(split, files, start))
            done = start
            for block in self._computed(split, missing[missing >= start], views):
                while done < block.end:
                    until = min(done + at_a_time, block.end)
                    for target, known in zip(self.targets, earlier, strict=True):
                        content = [target.rows(block, known, view, done, until) for view in target.views_of(split)]
                        target.unfinished.write([*content, id_bytes(reader.ids[done:until])])
                    progress.advance((until - done) * views)
                    done = until
                    if is_due() or done == reader.examples or self.asked_to_leave.is_set():
                        for target in self.targets:
                            target.unfinished.save(split, done, self._seconds)
                    if self.asked_to_leave.is_set():
                        raise StepProcessError(
                            f"The {self._names} were asked to leave after {done:,} of {reader.examples:,} {split} "
                            "images. Run again to go on from there."
                        )

    def _computed(self, split: SplitName, missing: NDArray[np.int64], views: int) -> Iterator[_Block]:
        """Run the images at some positions of a split through the frozen layers, a few at a time, up to its end."""
        size, examples = max(IMAGES_AT_A_TIME // views, 1), self.splits[split].examples
        if not len(missing):
            yield _Block(examples, missing, {})
            return
        batches = self._training_views(missing, views, size) if split == "train" else self._held_out(missing)

        def infer(images: tf.Tensor) -> dict[str, NDArray[np.float32]]:
            # One size for all, so that what comes out for an image cannot depend on how many come with it.
            lacking = size * views - len(images)
            filled = tf.pad(images, [[0, lacking], [0, 0], [0, 0], [0, 0]]) if lacking else images
            return {name: rows.numpy() for compute in self.computes for name, rows in compute(filled).items()}

        for first, outputs in zip(range(0, len(missing), size), infer_in_order(infer, batches), strict=True):
            positions, rows = missing[first : first + size], {}
            for target in self.targets:
                name, document = target.step.name, target.document
                by_view = outputs[name].reshape(-1, views, *document.shape)[: len(positions)]
                kept = by_view[:, : len(target.views_of(split))]  # another target may have more
                rows[name] = encode(_checked(kept, name, document.type), document.type)
            is_last = first + size >= len(missing)
            yield _Block(examples if is_last else int(positions[-1]) + 1, positions, rows)

    @property
    def _seconds(self) -> float:
        return self.reporter.seconds_before + time.monotonic() - self.since

    def _training_views(self, indices: NDArray[np.int64], views: int, size: int) -> tf.data.Dataset:
        """Give batches of `size` images, float32 (images · views, height, width, 3), an image's views in a row."""
        step, reader = self.step, self.splits["train"]
        numbers, salt = tf.constant(reader.numbers), stage_salt(step.draws)

        def example(index: tf.Tensor) -> tf.Tensor:
            encoded, _, _ = reader.tensor_example(index)
            seeds = [epoch_seed(step.seed, salt, tf.constant(view, tf.int64)) for view in range(views)]
            return augmented(encoded, tf.gather(numbers, index), seeds, step.resolution, step.augment)

        def flatten(images: tf.Tensor) -> tf.Tensor:
            return tf.reshape(images, [-1, step.resolution, step.resolution, 3])

        examples = tf.data.Dataset.from_tensor_slices(indices).map(example, tf.data.AUTOTUNE, deterministic=True)
        return prepared_ahead(examples.batch(size).map(flatten))

    def _held_out(self, indices: NDArray[np.int64]) -> tf.data.Dataset:
        """Give images, float32 (images, height, width, 3)."""
        how, reader = fit_of(self.step.resolution, self.step.augment), self.splits["validation"]
        batches = evaluation_batches(reader, how, batch_size=IMAGES_AT_A_TIME, indices=indices)
        return batches.map(lambda images, *_: images)


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
