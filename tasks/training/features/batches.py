"""Batches of what the frozen layers put out, in the order in which the images themselves would come."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf
from numpy.typing import NDArray

from thaw.pipeline_config.stage_schema import StageConfig
from thaw.tasks.training.features.files import FeatureReader
from thaw.tasks.training.features.rows import STORED
from thaw.tasks.training.pipeline import epoch_after_epoch, epoch_seed, prepared_ahead, shuffled


def cached_training_batches(
    reader: FeatureReader, stage: StageConfig, *, seed: int, salt: int, first_epoch: int = 1, first_step: int = 0
) -> tf.data.Dataset:
    """Make the batches of a stage as `training_batches` does, from views in place of images.

    Returns:
        A dataset of (features float32 (batch, …), labels int32 (batch,)). Epoch e shows view (e - 1) modulo the number
        of views.
    """
    labels = tf.constant(reader.labels)
    count = len(reader.labels)

    def batched(epoch: tf.Tensor, positions: tf.data.Dataset, size: int) -> tf.data.Dataset:
        drawn, view = epoch_seed(seed, salt, epoch), epoch % reader.views

        def batch(positions: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            indices = shuffled(positions, drawn, count)
            return _rows(reader, reader.read, [view, indices]), tf.gather(labels, indices)

        return positions.batch(size).map(batch, tf.data.AUTOTUNE, deterministic=True)

    return epoch_after_epoch(batched, stage, count, first_epoch, first_step)


def cached_validation_batches(reader: FeatureReader, *, batch_size: int) -> tf.data.Dataset:
    """Make one pass over the validation split, in the order of its records.

    Returns:
        A dataset of (features float32 (batch, …), labels int32 (batch,), indices int64 (batch,)).
    """
    labels = tf.constant(reader.validation_labels)

    def batch(indices: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        return _rows(reader, reader.validation.read, [indices]), tf.gather(labels, indices), indices

    indices = tf.data.Dataset.range(len(reader.validation_labels)).batch(batch_size)
    return prepared_ahead(indices.map(batch, tf.data.AUTOTUNE, deterministic=True))


def _rows(reader: FeatureReader, read: Callable[..., NDArray[Any]], arguments: list[tf.Tensor]) -> tf.Tensor:
    # Stateless, because it is: stateful maps run one call at a time under deterministic operations.
    rows = tf.numpy_function(read, arguments, tf.as_dtype(STORED[reader.type]), stateful=False)
    rows = tf.ensure_shape(rows, [None, *reader.shape])
    return tf.cast(tf.bitcast(rows, tf.bfloat16) if reader.type == "bfloat16" else rows, tf.float32)
