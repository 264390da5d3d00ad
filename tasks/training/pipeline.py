"""Batches for training and for evaluation.

How an image is augmented, and where it stands in an epoch beside any other, is a pure function of (seed, stage, epoch,
content of the image): the images that are there besides, and the order of the records, make no difference.
"""

import functools
import zlib
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from thaw.pipeline_config.augment_schema import Augmentation
from thaw.pipeline_config.preprocessing import Fit
from thaw.pipeline_config.stage_schema import StageConfig
from thaw.tasks.pictures.decoding import decode_upright, fit
from thaw.tasks.records.read import SplitReader
from thaw.tasks.training.augmentation import load_training_images

_BATCHES_AHEAD = 4  # enough to cover a slow image; more only holds memory
_SMALL_SHARE = 8  # see `steps_per_epoch`


def stage_salt(name: str) -> int:
    """Turn a stage's name into a number from 0 to 2**31 - 1, so that its random draws differ from the other stage's."""
    return zlib.crc32(name.encode()) & 0x7FFFFFFF


def steps_per_epoch(images: int, batch_size: int) -> int:
    """Count the batches of an epoch: all have `batch_size` images but the last, which has what is left.

    What is left joins the batch before it if it is one image, or at most an eighth of `batch_size`. A batch of n images
    may underestimate the variance by 1/n, and moves statistics and weights as much as a whole one: with 65 images in
    batches of 32, the last of one image, the moving variance ended at 0.65 of the true one. An eighth more is little to
    the memory of a device, and a larger rest not so far from the truth. The devices that share a batch do not count.
    """
    whole, rest = divmod(images, batch_size)
    joins = whole > 0 and rest <= max(batch_size // _SMALL_SHARE, 1)
    return whole if joins else whole + 1


def prepared_ahead(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Let a dataset of batches prepare the next ones while the last one is used; AUTOTUNE then means all cores."""
    options = tf.data.Options()
    # With tuning, the end of an iterator over the training images took 40 idle seconds (docs/keras-notes.md).
    options.autotune.enabled = False
    return dataset.prefetch(_BATCHES_AHEAD).with_options(options)


def epoch_seed(seed: int, salt: int, epoch: tf.Tensor) -> tf.Tensor:
    """Derive the seed, int64 (2,), of an epoch's draws: with an image's number its augmentation and its place.

    From the recipe's seed, the stage's `stage_salt` and the epoch, int64 (), from 0; or the number of a view, which is
    what an epoch of that number would show.
    """
    return tf.random.experimental.stateless_fold_in(tf.constant([seed, salt], tf.int32), epoch)


def epoch_order(numbers: NDArray[np.int64], key: np.int64) -> NDArray[np.int64]:
    """Put images, by their numbers, into the order of an epoch: which stands at each position, int64 (images,).

    The order is that of draws, one for each image, from the epoch's key and the image's number alone.
    """
    draws = numbers.view(np.uint64) ^ np.asarray([key]).view(np.uint64)
    # The finalizer of SplitMix64: each bit of what comes in changes half of what comes out, and no two draws are equal.
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        draws = (draws ^ (draws >> np.uint64(shift))) * np.uint64(factor)
    return np.argsort(draws ^ (draws >> np.uint64(31)), kind="stable")


def augmented(
    encoded: tf.Tensor,
    number: tf.Tensor,
    seeds: Sequence[tf.Tensor],
    resolution: int,
    operations: Sequence[Augmentation],
) -> tf.Tensor:
    """Load an image as some epochs, or views, show it whose `epoch_seed`s are given.

    From a JPEG or PNG file that is upright, string (), and the image's number, int64 (), to float32
    (seeds, resolution, resolution, 3), range [0, 255].
    """
    image_seeds = [tf.random.experimental.stateless_fold_in(seed, number) for seed in seeds]
    return load_training_images(encoded, image_seeds, resolution, operations)


def training_batches(
    reader: SplitReader, stage: StageConfig, *, seed: int, salt: int, first_epoch: int = 1, first_step: int = 0
) -> tf.data.Dataset:
    """Make the batches of a resolved stage, epoch after epoch, each in its own order and with its own augmentations.

    They begin in `first_epoch`, counted from 1, after `first_step` of its batches; those that follow are the same as if
    nothing were left out. `seed` is the recipe's, `salt` the `stage_salt`.

    Returns:
        A dataset of (images float32 (batch, resolution, resolution, 3) in [0, 255], labels int32 (batch,)), with
        `steps_per_epoch` batches an epoch.
    """
    operations, resolution, numbers = stage.augment or [], stage.fit.resolution, tf.constant(reader.numbers)

    def batched(epoch: tf.Tensor, indices: tf.data.Dataset, size: int) -> tf.data.Dataset:
        drawn = epoch_seed(seed, salt, epoch)

        def example(index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            encoded, label, _ = reader.tensor_example(index)
            return augmented(encoded, tf.gather(numbers, index), [drawn], resolution, operations)[0], label

        return indices.map(example, tf.data.AUTOTUNE, deterministic=True).batch(size)

    return epoch_after_epoch(
        batched, reader.numbers, stage, seed=seed, salt=salt, first_epoch=first_epoch, first_step=first_step
    )


def epoch_after_epoch(
    batched: Callable[[tf.Tensor, tf.data.Dataset, int], tf.data.Dataset],
    numbers: NDArray[np.int64],
    stage: StageConfig,
    *,
    seed: int,
    salt: int,
    first_epoch: int,
    first_step: int,
) -> tf.data.Dataset:
    """Chain the batches that a function makes of an epoch, int64 () from 0, indices of images, and the batches' size.

    The images are those with these numbers. The first epoch has those left that come after `first_step` batches.
    """
    count = len(numbers)
    steps = steps_per_epoch(count, stage.batch_size)
    last = (steps - 1) * stage.batch_size  # where the last batch begins, whose size is its own
    left_out = first_step * stage.batch_size if first_step < steps else count

    indices_in = tf.data.Dataset.from_tensor_slices

    def batches(epoch: tf.Tensor) -> tf.data.Dataset:
        key = tf.random.stateless_uniform([], epoch_seed(seed, salt, epoch), None, None, tf.int64)
        # Stateless, because it is: stateful maps run one call at a time under deterministic operations.
        order = tf.numpy_function(functools.partial(epoch_order, numbers), [key], tf.int64, stateful=False)
        order = tf.ensure_shape(order, [count])
        start = tf.where(epoch == first_epoch - 1, tf.constant(left_out, tf.int64), 0)
        before = batched(epoch, indices_in(order[start:last]), stage.batch_size)
        return before.concatenate(batched(epoch, indices_in(order[tf.maximum(start, last) :]), count - last))

    return prepared_ahead(tf.data.Dataset.range(first_epoch - 1, stage.epochs).flat_map(batches))


def evaluation_batches(
    reader: SplitReader, how: Fit, *, batch_size: int, indices: NDArray[np.int64] | None = None
) -> tf.data.Dataset:
    """Make one pass over a split, or over those of its images whose indices are given, without any randomness.

    Returns:
        A dataset of (images float32 (batch, resolution, resolution, 3) in [0, 255], labels int32 (batch,),
        indices int64 (batch,)); the last batch holds what is left.
    """

    def example(index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        encoded, label, _ = reader.tensor_example(index)
        return fit(decode_upright(encoded), how), label, index

    every = tf.data.Dataset.range(reader.examples)
    shown = every if indices is None else tf.data.Dataset.from_tensor_slices(indices)
    return prepared_ahead(shown.map(example, tf.data.AUTOTUNE, deterministic=True).batch(batch_size))
