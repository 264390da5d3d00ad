"""Batches of what the frozen layers put out, in the order in which the images themselves would come."""

import functools

import tensorflow as tf

from thaw.pipeline_config.dataset_schema import SplitName
from thaw.pipeline_config.stage_schema import StageConfig
from thaw.tasks.records.read import SplitReader
from thaw.tasks.training.features.files import FeatureReader
from thaw.tasks.training.features.rows import STORED
from thaw.tasks.training.pipeline import epoch_after_epoch, prepared_ahead


def cached_training_batches(
    reader: FeatureReader,
    images: SplitReader,
    stage: StageConfig,
    *,
    seed: int,
    salt: int,
    first_epoch: int = 1,
    first_step: int = 0,
) -> tf.data.Dataset:
    """Make the batches of a stage as `training_batches` does of the images, from views of them.

    Returns:
        A dataset of (features float32 (batch, …), labels int32 (batch,)). Epoch e shows view (e - 1) modulo the number
        of views.
    """
    labels = tf.constant(images.labels)

    def batched(epoch: tf.Tensor, indices: tf.data.Dataset, size: int) -> tf.data.Dataset:
        view = epoch % reader.views

        def batch(indices: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return _rows(reader, "train", view, indices), tf.gather(labels, indices)

        return indices.batch(size).map(batch, tf.data.AUTOTUNE, deterministic=True)

    return epoch_after_epoch(
        batched, images.numbers, stage, seed=seed, salt=salt, first_epoch=first_epoch, first_step=first_step
    )


def cached_validation_batches(reader: FeatureReader, images: SplitReader, *, batch_size: int) -> tf.data.Dataset:
    """Make one pass over the validation split, in the order of its records.

    Returns:
        A dataset of (features float32 (batch, …), labels int32 (batch,), indices int64 (batch,)).
    """
    labels = tf.constant(images.labels)

    def batch(indices: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        return _rows(reader, "validation", 0, indices), tf.gather(labels, indices), indices

    indices = tf.data.Dataset.range(images.examples).batch(batch_size)
    return prepared_ahead(indices.map(batch, tf.data.AUTOTUNE, deterministic=True))


def _rows(reader: FeatureReader, split: SplitName, view: int | tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
    # Stateless, because it is: stateful maps run one call at a time under deterministic operations.
    read = functools.partial(reader.read, split)
    rows = tf.numpy_function(read, [view, indices], tf.as_dtype(STORED[reader.type]), stateful=False)
    rows = tf.ensure_shape(rows, [None, *reader.shape])
    return tf.cast(tf.bitcast(rows, tf.bfloat16) if reader.type == "bfloat16" else rows, tf.float32)
