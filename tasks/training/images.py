"""From encoded bytes to the pixels that a model sees: one definition for training, evaluation and serving."""

from collections.abc import Callable, Sequence

import tensorflow as tf

from thaw.pipeline_config.augment_schema import Augmentation, CenterCrop

_DCT_METHOD = "INTEGER_ACCURATE"  # the same pixels as Pillow's, and the same whatever the instruction set


def decode(encoded: tf.Tensor) -> tf.Tensor:
    """Decode one image.

    Args:
        encoded: A JPEG, PNG, BMP or GIF (first frame) file, string ().

    Returns:
        uint8 (height, width, 3), range [0, 255].
    """
    # BMP has an operation of its own; the one for JPEG reads all others.
    is_bitmap = tf.strings.substr(encoded, 0, 2) == b"BM"
    image = tf.cond(
        is_bitmap,
        lambda: tf.io.decode_bmp(encoded, channels=3),
        lambda: tf.io.decode_jpeg(encoded, channels=3, dct_method=_DCT_METHOD),
    )
    image.set_shape([None, None, 3])
    return image


def decode_box(encoded: tf.Tensor, choose_box: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]) -> tf.Tensor:
    """Decode a part of one image. Of a JPEG, what lies outside the part is passed over, which saves most of its time.

    Args:
        encoded: A JPEG, PNG, BMP or GIF (first frame) file, string ().
        choose_box: From height and width, int32 (), to int32 (4,): top, left, height and width, in pixels.

    Returns:
        uint8 (height of the box, width of the box, 3), range [0, 255]. At the border of the box, colours may differ by
        some units from those of the whole image, because a JPEG's neighbouring pixels share them.
    """

    def of_jpeg() -> tf.Tensor:
        height, width, _ = tf.unstack(tf.io.extract_jpeg_shape(encoded))
        return tf.io.decode_and_crop_jpeg(encoded, choose_box(height, width), channels=3, dct_method=_DCT_METHOD)

    def of_others() -> tf.Tensor:
        image = decode(encoded)
        top, left, height, width = tf.unstack(choose_box(tf.shape(image)[0], tf.shape(image)[1]))
        return image[top : top + height, left : left + width]

    part = tf.cond(tf.io.is_jpeg(encoded), of_jpeg, of_others)
    part.set_shape([None, None, 3])
    return part


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
