"""What a stage learns from and is measured on: the images, or what its frozen layers put out for them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import tensorflow as tf

from thaw.pipeline_config.errors import ArtifactError
from thaw.tasks.artifacts.store import ArtifactStore
from thaw.tasks.records.read import SplitReader
from thaw.tasks.training.features.batches import cached_training_batches, cached_validation_batches
from thaw.tasks.training.features.files import FeatureReader, read_document
from thaw.tasks.training.pipeline import evaluation_batches, stage_salt, training_batches
from thaw.tasks.training.step import TrainStep


@dataclass(frozen=True)
class Examples:
    """The batches of a stage.

    Attributes:
        training: From an epoch and a step of it on, (images or features, labels).
        validation: One pass, (images or features, labels, indices).
    """

    training: Callable[[int, int], Iterable[tuple[tf.Tensor, tf.Tensor]]]
    validation: Iterable[tuple[tf.Tensor, tf.Tensor, tf.Tensor]]


def open_features(store: ArtifactStore, step: TrainStep) -> FeatureReader | None:
    """Find what a stage's frozen layers put out.

    Args:
        store: Where it is.
        step: The stage's request.

    Returns:
        The features; None where the stage has none, or where it was decided that they would not pay.

    Raises:
        ArtifactError: They should be there, and are not.
    """
    if step.features_key is None:
        return None
    ref = store.find(step.features_key)
    if ref is None:
        raise ArtifactError(f"{step.name}: the features that it is to learn from are gone. Run again to rebuild them.")
    folder = store.folder(ref)  # find has checked it
    return FeatureReader(folder, step.name) if read_document(folder).taps[step.name].views else None


def feature_seconds(store: ArtifactStore, step: TrainStep) -> float:
    """Look up what it took to run a stage's frozen layers.

    Args:
        store: Where the features are.
        step: The stage's request.

    Returns:
        Seconds; 0 for a stage without features, and for one whose features were made together with an earlier stage's.
    """
    ref = None if step.features_key is None else store.find(step.features_key)
    if ref is None or next(iter(store.facts(ref)["decisions"])) != step.name:
        return 0.0
    return float(store.facts(ref)["seconds"])


def of_features(step: TrainStep, reader: FeatureReader) -> Examples:
    """Learn from a stage's features; the reader is to be closed afterwards."""
    return Examples(
        training=lambda epoch, steps_done: cached_training_batches(
            reader,
            step.stage,
            seed=step.seed,
            salt=stage_salt(step.name),
            first_epoch=epoch,
            first_step=steps_done,
        ),
        validation=cached_validation_batches(reader, batch_size=step.stage.batch_size),
    )


def of_images(step: TrainStep, train: SplitReader, validation: SplitReader) -> Examples:
    """Learn from the images of the train split, and be measured on those of the validation split."""
    stage = step.stage
    return Examples(
        training=lambda epoch, steps_done: training_batches(
            train,
            stage,
            seed=step.seed,
            salt=stage_salt(step.name),
            first_epoch=epoch,
            first_step=steps_done,
        ),
        validation=evaluation_batches(validation, stage.fit, batch_size=stage.batch_size),
    )
