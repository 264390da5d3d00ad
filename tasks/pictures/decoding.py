"""From encoded bytes to the pixels that a model sees: one definition for training, evaluation and serving. TensorFlow.

Everything here works on one image, called directly, in `Dataset.map` and in an exported graph alike.
"""

from collections.abc import Callable

import tensorflow as tf

from thaw.pipeline_config.preprocessing import Fit, Preprocessing
from thaw.tasks.pictures.turning import orientation_of, turn

_DCT_METHOD = "INTEGER_ACCURATE"  # the same pixels as Pillow's, and the same whatever the instruction set
_IMAGE = [None, None, 3]


def decode(encoded: tf.Tensor) -> tf.Tensor:
    """Decode a file, string (), to an upright image, uint8 (height, width, 3).

    A JPEG is turned by its EXIF tag. A PNG loses its alpha, and the lower half of 16 bits. Of a GIF, the first frame
    counts. A BMP has 24 or 32 bits a pixel, uncompressed, and a WebP neither transparency nor animation; others fail.
    """

    def jpeg() -> tf.Tensor:
        return turn(decode_upright(encoded), orientation_of(encoded))

    def bitmap() -> tf.Tensor:
        # With the file's own channels: where it has one, that is an index of a palette, which no channel may be.
        return tf.ensure_shape(tf.io.decode_bmp(encoded)[..., :3], _IMAGE)

    def others() -> tf.Tensor:
        # Not decode_webp, which writes beyond its memory where there is an animation (docs/keras-notes.md).
        return tf.ensure_shape(tf.io.decode_image(encoded, channels=3, expand_animations=False), _IMAGE)

    is_bitmap = tf.strings.substr(encoded, 0, 2) == b"BM"
    return tf.case([(tf.io.is_jpeg(encoded), jpeg), (is_bitmap, bitmap)], default=others)


def decode_upright(encoded: tf.Tensor) -> tf.Tensor:
    """Decode a JPEG or PNG file, string (), as its pixels are stored: uint8 (height, width, 3)."""
    image = tf.io.decode_jpeg(encoded, channels=3, dct_method=_DCT_METHOD)  # reads PNG as well
    image.set_shape(_IMAGE)
    return image


def decode_box(encoded: tf.Tensor, choose_box: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]) -> tf.Tensor:
    """Decode a part of one image. Of a JPEG, what lies outside the part is passed over, which saves most of its time.

    Args:
        encoded: A JPEG or PNG file, string (), that is upright.
        choose_box: From height and width, int32 (), to int32 (4,): top, left, height and width, in pixels.

    Returns:
        uint8 (height of the box, width of the box, 3), range [0, 255]. At the border of the box, colours may differ by
        some units from those of the whole image, because a JPEG's neighbouring pixels share them.
    """

    def of_jpeg() -> tf.Tensor:
        height, width, _ = tf.unstack(tf.io.extract_jpeg_shape(encoded))
        return tf.io.decode_and_crop_jpeg(encoded, choose_box(height, width), channels=3, dct_method=_DCT_METHOD)

    def of_others() -> tf.Tensor:
        image = decode_upright(encoded)
        top, left, height, width = tf.unstack(choose_box(tf.shape(image)[0], tf.shape(image)[1]))
        return image[top : top + height, left : left + width]

    part = tf.cond(tf.io.is_jpeg(encoded), of_jpeg, of_others)
    part.set_shape(_IMAGE)
    return part


def shrink(image: tf.Tensor, max_side: int | None) -> tf.Tensor:
    """Make an image, uint8 (height, width, 3), smaller if its longer side is more than `max_side` pixels."""
    if max_side is None:
        return image
    size = tf.cast(tf.shape(image)[:2], tf.int64)
    longer = tf.reduce_max(size)
    wanted = tf.maximum((2 * size * max_side + longer) // (2 * longer), 1)  # rounded; the longer side exactly

    def smaller() -> tf.Tensor:
        resized = tf.image.resize(image, tf.cast(wanted, tf.int32), method="bilinear", antialias=True)
        return tf.ensure_shape(tf.saturate_cast(tf.round(resized), tf.uint8), _IMAGE)

    return tf.cond(longer > max_side, smaller, lambda: image)


def fit(image: tf.Tensor, how: Fit) -> tf.Tensor:
    """Bring one image to the model's size, the same way whenever there is no randomness.

    From uint8 or float32 (height, width, 3) to float32 (resolution, resolution, 3), range [0, 255].
    """
    if how.center_crop is not None:
        size = tf.shape(image)[:2]
        side = tf.cast(tf.round(tf.cast(tf.reduce_min(size), tf.float32) * how.center_crop), tf.int32)
        side = tf.maximum(side, 1)
        top, left = tf.unstack((size - side) // 2)
        image = image[top : top + side, left : left + side]
    return squeeze(image, how.resolution)


def squeeze(image: tf.Tensor, resolution: int) -> tf.Tensor:
    """Resize a whole image, uint8 or float32 (height, width, 3), to float32 (resolution, resolution, 3)."""
    image = tf.image.resize(image, [resolution, resolution], method="bilinear")
    return tf.ensure_shape(image, [resolution, resolution, 3])


def prepare(encoded: tf.Tensor, how: Preprocessing) -> tf.Tensor:
    """Do with a file, string (), all that a release does: float32 (resolution, resolution, 3), range [0, 255]."""
    return fit(shrink(decode(encoded), how.max_side), how)
