"""Moves of one image that are given by numbers: rotation, translation, zoom, and the box of a random crop.

All work on one image, in pixel coordinates whose origin is the centre of the top left pixel; so the centre of a square
of R pixels is at (R - 1) / 2.
"""

import math

import tensorflow as tf

from thaw.pipeline_config.augment_schema import FillMode, RandomResizedCrop

_TRIES = 10  # of finding a box that lies inside the image, as torchvision's RandomResizedCrop has it


def rotate(image: tf.Tensor, turn: tf.Tensor, fill: FillMode) -> tf.Tensor:
    """Turn a square image about its centre.

    Args:
        image: float32 (resolution, resolution, 3), as is the result.
        turn: Share of a full turn, counter-clockwise, float32 ().
        fill: What is seen beyond the border.
    """
    angle = turn * math.tau
    cosine, sine = tf.cos(angle), tf.sin(angle)
    return _about_centre(image, tf.stack([[cosine, -sine], [sine, cosine]]), fill)


def translate(image: tf.Tensor, down: tf.Tensor, right: tf.Tensor, fill: FillMode) -> tf.Tensor:
    """Move an image.

    Args:
        image: float32 (height, width, 3), as is the result.
        down: Pixels, float32 (); negative is up.
        right: Pixels, float32 (); negative is left.
        fill: What is seen beyond the border.
    """
    return _transform(image, tf.eye(2), -tf.stack([right, down]), fill)


def zoom(image: tf.Tensor, factor: tf.Tensor, fill: FillMode) -> tf.Tensor:
    """Enlarge or shrink a square image about its centre.

    Args:
        image: float32 (resolution, resolution, 3), as is the result.
        factor: Size of what is shown by its size before, float32 (), positive; above 1 enlarges.
        fill: What is seen beyond the border.
    """
    return _about_centre(image, tf.eye(2) / factor, fill)


def random_box(height: tf.Tensor, width: tf.Tensor, seed: tf.Tensor, operation: RandomResizedCrop) -> tf.Tensor:
    """Draw the box of Inception's crop: area uniform, aspect ratio log-uniform, position uniform.

    Boxes are drawn until one lies inside the image, ten at most. If none does, the box is the largest central one whose
    aspect ratio is allowed, which may be larger than `area` allows.

    From the image's height and width, int32 (), and a seed, int32 (2,), to int32 (4,): top, left, height and width. All
    are in pixels.
    """
    image_size = tf.cast(tf.stack([height, width]), tf.float32)
    shape_seed, position_seed = tf.unstack(tf.random.split(seed, 2))
    draws = tf.random.stateless_uniform([_TRIES, 2], shape_seed)
    low, high = operation.area
    areas = (low + (high - low) * draws[:, 0]) * tf.reduce_prod(image_size)
    log_low, log_high = (math.log(bound) for bound in operation.aspect_ratio)
    aspect_ratios = tf.exp(log_low + (log_high - log_low) * draws[:, 1])
    sizes = tf.round(tf.sqrt(tf.stack([areas / aspect_ratios, areas * aspect_ratios], axis=1)))  # (tries, 2)
    fits = tf.reduce_all((sizes >= 1) & (sizes <= image_size), axis=1)
    first = sizes[tf.reduce_min(tf.where(fits, tf.range(_TRIES), _TRIES - 1))]
    central = _central_size(image_size, operation)
    # The number of places for a box is its distance from the far side plus one; the draw is below 1.
    random_place = tf.floor(tf.random.stateless_uniform([2], position_seed) * (image_size - first + 1))
    central_place = tf.floor((image_size - central) / 2)
    box = tf.where(
        tf.reduce_any(fits), tf.concat([random_place, first], axis=0), tf.concat([central_place, central], axis=0)
    )
    return tf.cast(box, tf.int32)


def _central_size(image_size: tf.Tensor, operation: RandomResizedCrop) -> tf.Tensor:
    # Shorten the side that is too long for the allowed aspect ratios; at least one pixel is left of it.
    height, width = tf.unstack(image_size)
    lowest, highest = operation.aspect_ratio
    size = tf.stack([tf.minimum(height, width / lowest), tf.minimum(width, height * highest)])
    return tf.maximum(tf.round(size), 1)


def _about_centre(image: tf.Tensor, matrix: tf.Tensor, fill: FillMode) -> tf.Tensor:
    # The offset that leaves the centre where it is. The sum is a reduction because TensorFlow reorders a chain of plus
    # and minus in a graph, and the last bit of the result must be the same in a graph as outside of one.
    centre = (image.shape[0] - 1) / 2
    return _transform(image, matrix, centre * (1.0 - tf.reduce_sum(matrix, axis=1)), fill)


def _transform(image: tf.Tensor, matrix: tf.Tensor, offset: tf.Tensor, fill: FillMode) -> tf.Tensor:
    # The result's pixel at (x, y) is taken from the image at matrix · (x, y) + offset.
    rows = tf.concat([matrix, offset[:, tf.newaxis]], axis=1)
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=image[tf.newaxis],
        transforms=tf.concat([tf.reshape(rows, [1, 6]), [[0.0, 0.0]]], axis=1),
        output_shape=image.shape[:2],
        interpolation="BILINEAR",
        fill_mode=fill.upper(),
        fill_value=0.0,
    )
    return tf.ensure_shape(moved[0], image.shape)
