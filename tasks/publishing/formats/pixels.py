"""From an image file's content to what a released model sees. TensorFlow."""

import tensorflow as tf

from thaw.pipeline_config.augment_schema import CenterCrop
from thaw.tasks.publishing.formats.base import ModelContext
from thaw.tasks.training.images import decode, fit


def to_pixels(encoded: tf.Tensor, context: ModelContext) -> tf.Tensor:
    """Decode one image file, string (), to float32 (resolution, resolution, 3), range [0, 255]."""
    fraction = context.input.center_crop
    crop = None if fraction is None else CenterCrop(name="center_crop", fraction=fraction)
    return fit(decode(encoded), context.input.resolution, crop)
