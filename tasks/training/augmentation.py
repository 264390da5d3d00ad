"""The recipe's `augment` list as pure functions of an image and a seed, for use inside or outside `Dataset.map`.

Each operation draws its numbers from the seed folded with its position in the list, so two that stand in one list are
independent, and nothing depends on the order or the parallelism in which images are processed.
"""

from collections.abc import Sequence

import tensorflow as tf

from thaw.pipeline_config.augment_schema import (
    Augmentation,
    CenterCrop,
    RandomContrast,
    RandomFlip,
    RandomResizedCrop,
    RandomRotation,
    RandomTranslation,
    RandomZoom,
)
from thaw.pipeline_config.preprocessing import fit_of
from thaw.tasks.pictures.decoding import decode_box, decode_upright, fit, squeeze
from thaw.tasks.training.geometry import random_box, rotate, translate, zoom


def load_training_images(
    encoded: tf.Tensor, seeds: Sequence[tf.Tensor], resolution: int, operations: Sequence[Augmentation]
) -> tf.Tensor:
    """Decode one image, bring it to the model's size and augment it, once per seed. Of a random crop, decode only that.

    The image is a JPEG or PNG file that is upright, string (); the seeds are int32 (2,) each.

    Returns:
        float32 (seeds, resolution, resolution, 3), range [0, 255]: as of `prepare_training_image`, with the same draws.
    """
    found = _find_random_crop(operations)
    if found is None:
        fitted = fit(decode_upright(encoded), fit_of(resolution, operations))
        return tf.stack([augment(fitted, seed, operations) for seed in seeds])

    position, crop = found

    def cropped(seed: tf.Tensor) -> tf.Tensor:
        seed_of_crop = tf.random.fold_in(seed, position)
        part = decode_box(encoded, lambda height, width: random_box(height, width, seed_of_crop, crop))
        return augment(squeeze(part, resolution), seed, operations)

    return tf.stack([cropped(seed) for seed in seeds])


def prepare_training_image(
    image: tf.Tensor, seed: tf.Tensor, resolution: int, operations: Sequence[Augmentation]
) -> tf.Tensor:
    """Bring one image to the model's size and augment it. The crop comes first, wherever it stands in the list.

    From uint8 (height, width, 3) and a seed, int32 (2,), to float32 (resolution, resolution, 3), range [0, 255].
    """
    found = _find_random_crop(operations)
    if found is None:
        fitted = fit(image, fit_of(resolution, operations))
    else:
        position, crop = found
        fitted = random_resized_crop(image, tf.random.fold_in(seed, position), resolution, crop)
    return augment(fitted, seed, operations)


def random_resized_crop(image: tf.Tensor, seed: tf.Tensor, resolution: int, operation: RandomResizedCrop) -> tf.Tensor:
    """Cut a random box and squeeze it into the square.

    From uint8 (height, width, 3) and a seed, int32 (2,), to float32 (resolution, resolution, 3), range [0, 255].
    """
    size = tf.shape(image)
    top, left, height, width = tf.unstack(random_box(size[0], size[1], seed, operation))
    return squeeze(image[top : top + height, left : left + width], resolution)


def augment(image: tf.Tensor, seed: tf.Tensor, operations: Sequence[Augmentation]) -> tf.Tensor:
    """Apply the operations in the order of the list. Crops are left out: they act on the image before it is fitted.

    The image is float32 (resolution, resolution, 3), range [0, 255], as is the result; the seed is int32 (2,).
    """
    for position, operation in enumerate(operations):
        if not isinstance(operation, RandomResizedCrop | CenterCrop):
            image = _apply(image, tf.random.fold_in(seed, position), operation)
    return tf.clip_by_value(image, 0.0, 255.0)


def _find_random_crop(operations: Sequence[Augmentation]) -> tuple[int, RandomResizedCrop] | None:
    crops = [(position, crop) for position, crop in enumerate(operations) if isinstance(crop, RandomResizedCrop)]
    return crops[0] if crops else None  # the recipe takes one at most


def _apply(
    image: tf.Tensor,
    seed: tf.Tensor,
    operation: RandomFlip | RandomRotation | RandomTranslation | RandomZoom | RandomContrast,
) -> tf.Tensor:
    # No `match` statement: AutoGraph, which reads what runs in `Dataset.map`, does not know it.
    if isinstance(operation, RandomFlip):
        return _random_flip(image, seed, operation)
    if isinstance(operation, RandomRotation):
        return rotate(image, _between(-operation.factor, operation.factor, seed), operation.fill)
    if isinstance(operation, RandomTranslation):
        return _random_translation(image, seed, operation)
    if isinstance(operation, RandomZoom):
        return zoom(image, _between(1 - operation.factor, 1 + operation.factor, seed), operation.fill)
    return tf.image.adjust_contrast(image, _between(1 - operation.factor, 1 + operation.factor, seed))


def _random_translation(image: tf.Tensor, seed: tf.Tensor, operation: RandomTranslation) -> tf.Tensor:
    height, width = image.shape[:2]
    down_seed, right_seed = tf.unstack(tf.random.split(seed, 2))
    down = _between(-operation.height * height, operation.height * height, down_seed)
    right = _between(-operation.width * width, operation.width * width, right_seed)
    return translate(image, down, right, operation.fill)


def _random_flip(image: tf.Tensor, seed: tf.Tensor, operation: RandomFlip) -> tf.Tensor:
    across_seed, down_seed = tf.unstack(tf.random.split(seed, 2))
    if operation.mode in ("horizontal", "horizontal_and_vertical"):
        image = tf.image.stateless_random_flip_left_right(image, across_seed)
    if operation.mode in ("vertical", "horizontal_and_vertical"):
        image = tf.image.stateless_random_flip_up_down(image, down_seed)
    return image


def _between(low: float, high: float, seed: tf.Tensor) -> tf.Tensor:
    return tf.random.stateless_uniform([], seed, minval=low, maxval=high)
