"""From encoded bytes to the pixels that a model sees: one definition for training, evaluation and serving."""

from collections.abc import Sequence

import tensorflow as tf

from pipeline_config.augment_schema import Augmentation, CenterCrop


def decode(encoded: tf.Tensor) -> tf.Tensor:
    """Decode one image.

    The accurate inverse transform is chosen because it gives the same pixels as Pillow, and does not depend on the
    instruction set; BMP has an operation of its own.

    Args:
        encoded: A JPEG, PNG, BMP or GIF (first frame) file, string ().

    Returns:
        uint8 (height, width, 3), range [0, 255].
    """
    is_bitmap = tf.strings.substr(encoded, 0, 2) == b"BM"
    image = tf.cond(
        is_bitmap,
        lambda: tf.io.decode_bmp(encoded, channels=3),
        lambda: tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE"),
    )
    image.set_shape([None, None, 3])
    return image


def fit(image: tf.Tensor, resolution: int, center_crop: CenterCrop | None) -> tf.Tensor:
    """Bring one image to the model's size, the same way whenever there is no randomness.

    Args:
        image: uint8 or float32 (height, width, 3), range [0, 255].
        resolution: Height and width of the result, in pixels.
        center_crop: Cut this part first; without it the whole image is squeezed into the square.

    Returns:
        float32 (resolution, resolution, 3), range [0, 255].
    """
    if center_crop is not None:
        size = tf.shape(image)[:2]
        side = tf.cast(tf.round(tf.cast(tf.reduce_min(size), tf.float32) * center_crop.fraction), tf.int32)
        side = tf.maximum(side, 1)
        top, left = tf.unstack((size - side) // 2)
        image = image[top : top + side, left : left + side]
    image = tf.image.resize(image, [resolution, resolution], method="bilinear")
    return tf.ensure_shape(image, [resolution, resolution, 3])


def find_center_crop(augment: Sequence[Augmentation]) -> CenterCrop | None:
    """Find the crop that evaluation uses.

    Args:
        augment: A stage's augmentations.

    Returns:
        The `center_crop` among them, if there is one.
    """
    return next((operation for operation in augment if isinstance(operation, CenterCrop)), None)
