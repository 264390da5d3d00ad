"""Batches for training and for evaluation: which example stands where is a pure function of (seed, stage, epoch)."""

import zlib
from collections.abc import Sequence

import tensorflow as tf

from thaw.pipeline_config.augment_schema import Augmentation
from thaw.pipeline_config.preprocessing import Fit
from thaw.pipeline_config.stage_schema import StageConfig
from thaw.tasks.pictures.decoding import decode_upright, fit
from thaw.tasks.records.read import SplitReader
from thaw.tasks.training.augmentation import load_training_images

_BATCHES_AHEAD = 4  # enough to cover a slow image; more only holds memory


def stage_salt(name: str) -> int:
    """Turn a stage's name into a number, so that its random draws differ from the other stage's.

    Args:
        name: For example "stage_one".

    Returns:
        A number from 0 to 2**31 - 1, the same on every machine.
    """
    return zlib.crc32(name.encode()) & 0x7FFFFFFF


def prepared_ahead(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Let a dataset prepare its next batches, on all cores, while the last one is used.

    Args:
        dataset: Of batches; its maps have `tf.data.AUTOTUNE`, which then means all cores.

    Returns:
        The dataset.
    """
    options = tf.data.Options()
    # With tuning, the end of an iterator over the training images took 40 idle seconds (docs/keras-notes.md).
    options.autotune.enabled = False
    return dataset.prefetch(_BATCHES_AHEAD).with_options(options)


def epoch_seed(seed: int, salt: int, epoch: tf.Tensor) -> tf.Tensor:
    """Derive the seed of an epoch's draws: the order, and with the image's index the augmentation.

    Args:
        seed: The recipe's seed.
        salt: `stage_salt` of the stage.
        epoch: int64 (), from 0; or the number of a view, which is what an epoch of that number would show.

    Returns:
        int32 (2,).
    """
    return tf.random.experimental.stateless_fold_in(tf.constant([seed, salt], tf.int32), epoch)


def shuffled(positions: tf.Tensor, seed: tf.Tensor, count: int) -> tf.Tensor:
    """Say which examples stand at some positions of an epoch.

    Args:
        positions: int64, from 0.
        seed: `epoch_seed` of the epoch.
        count: Examples in an epoch.

    Returns:
        Indices of examples, int64, same shape.
    """
    return tf.random.experimental.index_shuffle(positions, seed, count - 1)


def augmented(
    encoded: tf.Tensor,
    index: tf.Tensor,
    seeds: Sequence[tf.Tensor],
    resolution: int,
    operations: Sequence[Augmentation],
) -> tf.Tensor:
    """Load an image as some epochs show it.

    Args:
        encoded: A JPEG or PNG file that is upright, string ().
        index: Of the example, int64 ().
        seeds: `epoch_seed` of each epoch, or of each view.
        resolution: Height and width of the result, in pixels.
        operations: The stage's augmentations.

    Returns:
        float32 (seeds, resolution, resolution, 3), range [0, 255].
    """
    image_seeds = [tf.random.experimental.stateless_fold_in(seed, index) for seed in seeds]
    return load_training_images(encoded, image_seeds, resolution, operations)


def training_batches(
    reader: SplitReader,
    stage: StageConfig,
    *,
    seed: int,
    salt: int,
    first_epoch: int = 1,
    first_step: int = 0,
) -> tf.data.Dataset:
    """Make the batches of a stage, epoch after epoch, each in its own order and with its own augmentations.

    Args:
        reader: The train split.
        stage: Says how many epochs, how large images and batches are, and which augmentations, resolved.
        seed: The recipe's seed.
        salt: `stage_salt` of the stage.
        first_epoch: The epoch to begin in, from 1.
        first_step: Batches of that epoch to leave out; the following ones are the same as if nothing were left out.

    Returns:
        A dataset of (images float32 (batch, resolution, resolution, 3) in [0, 255], labels int32 (batch,)); the
        last batch of an epoch holds what is left.
    """
    count, operations, batch_size = reader.examples, stage.augment or [], stage.batch_size
    resolution = stage.fit.resolution

    def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        drawn = epoch_seed(seed, salt, epoch)

        def example(position: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            index = shuffled(position, drawn, count)
            encoded, label, _ = reader.tensor_example(index)
            return augmented(encoded, index, [drawn], resolution, operations)[0], label

        left_out = min(first_step * batch_size, count)
        positions = tf.data.Dataset.range(tf.where(epoch == first_epoch - 1, tf.constant(left_out, tf.int64), 0), count)
        return positions.map(example, tf.data.AUTOTUNE, deterministic=True).batch(batch_size)

    return prepared_ahead(tf.data.Dataset.range(first_epoch - 1, stage.epochs).flat_map(one_epoch))


def evaluation_batches(reader: SplitReader, how: Fit, *, batch_size: int) -> tf.data.Dataset:
    """Make one pass over a split, in the order of its records, without any randomness.

    Args:
        reader: The split.
        how: The size that images are brought to, and the crop before.
        batch_size: Images a batch; the last batch holds what is left.

    Returns:
        A dataset of (images float32 (batch, resolution, resolution, 3) in [0, 255], labels int32 (batch,),
        indices int64 (batch,)).
    """

    def example(index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        encoded, label, _ = reader.tensor_example(index)
        return fit(decode_upright(encoded), how), label, index

    indices = tf.data.Dataset.range(reader.examples)
    return prepared_ahead(indices.map(example, tf.data.AUTOTUNE, deterministic=True).batch(batch_size))
