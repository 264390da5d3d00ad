"""Single images of the records, for the report to show: as they are, and as training changes them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from PIL import Image

from thaw.pipeline_config.augment_schema import Augmentation
from thaw.tasks.pictures.decoding import decode_upright
from thaw.tasks.records.read import SplitReader
from thaw.tasks.training.augmentation import prepare_training_image

LONGEST_SIDE = 320  # pixels; more would not show at the size of the pictures
AUGMENTED = 9


@dataclass(frozen=True)
class Example:
    """One image of the records. `id` is the SHA-256 of `encoded`, the image's file, in hexadecimal."""

    id: str
    label: int
    encoded: bytes


def read_example(reader: SplitReader, index: int) -> Example:
    """Read one image of a split, counted from 0, without decoding it."""
    features = tf.train.Example.FromString(reader.read(index)).features.feature
    return Example(
        id=features["id"].bytes_list.value[0].decode(),
        label=features["label"].int64_list.value[0],
        encoded=features["image"].bytes_list.value[0],
    )


def thumbnail(encoded: bytes) -> npt.NDArray[np.uint8]:
    """Decode an image to look at: uint8 (height, width, 3); a large one is made smaller, its shape kept."""
    image = Image.fromarray(decode_upright(tf.constant(encoded)).numpy())
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    return np.asarray(image)


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
