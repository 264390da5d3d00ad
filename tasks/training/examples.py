"""What a stage learns from and is measured on: the images, or what its frozen layers put out for them."""

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import tensorflow as tf

from thaw.tasks.records.read import SplitReader
from thaw.tasks.training.features.batches import cached_training_batches, cached_validation_batches
from thaw.tasks.training.features.files import FeatureReader
from thaw.tasks.training.pipeline import evaluation_batches, stage_salt, training_batches
from thaw.tasks.training.step import TrainStep


@dataclass(frozen=True)
class Examples:
    """The batches of a stage.

    Attributes:
        training: From `first_epoch` and its `first_step` on, (images or features, labels).
        validation: One pass, (images or features, labels, indices).
        feature_views: Of each training image; 0 where the stage learns from the images themselves.
    """

    training: Callable[..., Iterable[tuple[tf.Tensor, tf.Tensor]]]
    validation: Iterable[tuple[tf.Tensor, tf.Tensor, tf.Tensor]]
    feature_views: int = 0


def of_features(step: TrainStep, reader: FeatureReader, train: SplitReader, validation: SplitReader) -> Examples:
    """Learn from the features of the images in two splits; the readers are to be closed afterwards."""
    return Examples(
        functools.partial(
            cached_training_batches, reader, train, step.stage, seed=step.seed, salt=stage_salt(step.name)
        ),
        cached_validation_batches(reader, validation, batch_size=step.stage.batch_size),
        reader.views,
    )


def of_images(step: TrainStep, train: SplitReader, validation: SplitReader) -> Examples:
    """Learn from the images of the train split, and be measured on those of the validation split."""
    return Examples(
        functools.partial(training_batches, train, step.stage, seed=step.seed, salt=stage_salt(step.name)),
        evaluation_batches(validation, step.stage.fit, batch_size=step.stage.batch_size),
    )
