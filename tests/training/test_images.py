"""Loading what is trained on from its encoded bytes."""

import io
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from pydantic import TypeAdapter

from thaw.pipeline_config.augment_schema import Augmentation
from thaw.tasks.pictures.decoding import decode
from thaw.tasks.training.augmentation import load_training_images, prepare_training_image

RESOLUTION = 24
SHARED_COLOUR = 4  # of 255: by so much the chroma that pixels of a JPEG share may differ at the border of a box


def smooth(height: int, width: int) -> np.ndarray:
    rows, columns = np.mgrid[0:height, 0:width]
    return np.stack([rows * 4, columns * 3, 255 - rows * 3], axis=-1).clip(0, 255).astype(np.uint8)


def encode(pixels: np.ndarray, kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def parse(*operations: dict[str, Any]) -> list[Augmentation]:
    return TypeAdapter(list[Augmentation]).validate_python(list(operations))


@pytest.mark.parametrize("operations", [[], ["center_crop"], ["random_resized_crop"]])
def test_a_loaded_image_is_the_prepared_one_directly_and_in_a_dataset(operations: list[str]) -> None:
    moves = parse(
        *({"name": name} for name in [*operations, "random_flip"]), {"name": "random_rotation", "factor": 0.3}
    )
    files, seeds = [encode(smooth(40, 64), kind) for kind in ("jpeg", "png")], [tf.constant([4, n]) for n in (2, 5)]
    dataset = tf.data.Dataset.from_tensor_slices(files).map(
        lambda encoded: load_training_images(encoded, seeds, RESOLUTION, moves), num_parallel_calls=2
    )
    for encoded, mapped, tolerance in zip(files, dataset.as_numpy_iterator(), (SHARED_COLOUR, 1e-3), strict=True):
        loaded = load_training_images(tf.constant(encoded), seeds, RESOLUTION, moves)
        np.testing.assert_array_equal(mapped, loaded)
        prepared = [prepare_training_image(decode(tf.constant(encoded)), seed, RESOLUTION, moves) for seed in seeds]
        np.testing.assert_allclose(loaded, prepared, atol=tolerance)
