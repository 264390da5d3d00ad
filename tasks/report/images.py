"""Images of the records for the report to show: as they are, and as training changes them."""

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from PIL import Image

from thaw.pipeline_config.augment_schema import Augmentation
from thaw.tasks.pictures.decoding import decode_upright
from thaw.tasks.report.pictures.style import TINY
from thaw.tasks.training.augmentation import prepare_training_image

LONGEST_SIDE = 320  # pixels; more would not show at the size of the pictures
AUGMENTED = 9

_ON_THE_PAGE = 256  # pixels; twice as wide as it is shown, for screens that are so fine


def thumbnail(encoded: bytes) -> npt.NDArray[np.uint8]:
    """Decode an image to look at: uint8 (height, width, 3); a large one is made smaller, its shape kept."""
    return np.asarray(_shrunk(encoded, LONGEST_SIDE))


def small_file(encoded: bytes) -> tuple[str, bytes]:
    """Make an image small enough to stand on the page: its media type, and the file; equal images give equal bytes."""
    image, buffer = _shrunk(encoded, _ON_THE_PAGE), io.BytesIO()
    if max(image.size) < TINY:
        image.save(buffer, "PNG", optimize=True)
        return "image/png", buffer.getvalue()
    image.save(buffer, "JPEG", quality=80, optimize=True)
    return "image/jpeg", buffer.getvalue()


def augmentations(
    encoded: bytes, seed: int, resolution: int, operations: Sequence[Augmentation]
) -> list[npt.NDArray[np.uint8]]:
    """Change an image as training does, with the seeds (seed, 0) to (seed, 8).

    Gives nine images, uint8 (resolution, resolution, 3).
    """
    image = decode_upright(tf.constant(encoded))
    versions = [
        prepare_training_image(image, tf.constant([seed, number], tf.int32), resolution, operations)
        for number in range(AUGMENTED)
    ]
    return [tf.cast(tf.round(version), tf.uint8).numpy() for version in versions]


def _shrunk(encoded: bytes, longest_side: int) -> Image.Image:
    image = Image.fromarray(decode_upright(tf.constant(encoded)).numpy())
    image.thumbnail((longest_side, longest_side))
    return image
