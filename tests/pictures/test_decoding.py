"""Decoding a whole image or a part of it, and making it smaller: directly, in a dataset and in a graph alike."""

import numpy as np
import pytest
import tensorflow as tf

from tests.ingest.pictures import encode, picture
from tests.pictures.made import animated, every_kind, with_alpha
from thaw.pipeline_config.preprocessing import Preprocessing
from thaw.tasks.pictures.decoding import decode, decode_box, prepare, shrink

SHARED_COLOUR = 4  # of 255: by so much the chroma that pixels of a JPEG share may differ at the border of a box
# What the SavedModel does not read, and thaw converts first.
REFUSED = {"palette.bmp", "bits.bmp", "alpha.webp", "animated.webp"}


def smooth(height: int, width: int) -> np.ndarray:
    rows, columns = np.mgrid[0:height, 0:width]
    return np.stack([rows * 4, columns * 3, 255 - rows * 3], axis=-1).clip(0, 255).astype(np.uint8)


def stored(pixels: np.ndarray, kind: str) -> bytes:
    encoders = {"jpeg": tf.io.encode_jpeg, "png": tf.io.encode_png}
    encoded: bytes = encoders[kind](pixels).numpy()
    return encoded


@pytest.mark.parametrize("kind", ["jpeg", "png"])
@pytest.mark.parametrize("box", [(0, 0, 40, 64), (7, 3, 25, 50), (39, 63, 1, 1)])
def test_decoding_a_box_gives_that_part_of_the_image(kind: str, box: tuple[int, int, int, int]) -> None:
    encoded, (top, left, height, width) = stored(smooth(40, 64), kind), box
    part = decode_box(tf.constant(encoded), lambda *_: tf.constant(box))
    expected = decode(tf.constant(encoded))[top : top + height, left : left + width]
    assert part.shape == expected.shape
    difference = np.abs(tf.cast(part, tf.int32) - tf.cast(expected, tf.int32))
    assert difference.max() <= (SHARED_COLOUR if kind == "jpeg" else 0)
    np.testing.assert_array_equal(part[1:-1, 2:-2], expected[1:-1, 2:-2])


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_the_box_is_chosen_from_the_images_size(kind: str) -> None:
    encoded = tf.constant(stored(smooth(30, 50), kind))
    part = decode_box(encoded, lambda height, width: tf.stack([0, 0, height - 1, width - 2]))
    assert part.shape == (29, 48, 3)


@pytest.mark.parametrize(("max_side", "center_crop"), [(None, None), (30, 0.8)])
def test_every_kind_that_is_read_has_the_same_bits_directly_in_a_dataset_and_in_a_loop(
    max_side: int | None, center_crop: float | None
) -> None:
    how = Preprocessing(max_pixels=10**6, max_side=max_side, resolution=16, center_crop=center_crop)
    kinds = [every_kind(seed, (41, 33)) for seed in (1, 2)]
    files = [encoded for kind in kinds for name, encoded in kind.items() if name not in REFUSED]
    direct = [prepare(tf.constant(encoded), how) for encoded in files]
    mapped = tf.data.Dataset.from_tensor_slices(files).map(lambda encoded: prepare(encoded, how))
    np.testing.assert_array_equal(list(mapped), direct)

    pixels = tf.TensorSpec([16, 16, 3], tf.float32)

    def loop(encoded: tf.Tensor) -> tf.Tensor:
        return tf.map_fn(lambda each: prepare(each, how), encoded, fn_output_signature=pixels)

    for autograph in (False, True):
        np.testing.assert_array_equal(tf.function(loop, autograph=autograph)(tf.constant(files)), direct)


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_would_be_misread_is_refused_rather(name: str) -> None:
    with pytest.raises((tf.errors.InvalidArgumentError, ValueError)):
        decode(tf.constant(every_kind(0, (20, 14))[name]))


def test_animations_of_webp_are_refused_with_and_without_transparency() -> None:
    frames = [with_alpha(seed) for seed in (1, 2)]
    with_transparency = encode(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    for encoded in (animated("WEBP", 0, (20, 14)), with_transparency):
        for _ in range(20):  # a decoder that writes beyond its memory is found out by doing it often
            with pytest.raises(tf.errors.InvalidArgumentError):
                decode(tf.constant(encoded))


@pytest.mark.parametrize(
    ("size", "expected"),
    [((64, 48), (64, 48)), ((65, 48), (64, 47)), ((48, 640), (5, 64)), ((2000, 2), (64, 1)), ((128, 127), (64, 64))],
)
def test_the_longer_side_is_shrunk_and_the_shorter_one_rounded(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    image = tf.constant(np.asarray(picture(0, size[::-1])))
    small = shrink(image, 64)
    assert small.shape == (*expected, 3)
    assert small.dtype == tf.uint8
    np.testing.assert_array_equal(tf.function(shrink)(image, 64), small)
    np.testing.assert_array_equal(shrink(image, None), image)
    np.testing.assert_array_equal(shrink(small, 64), small)


def test_shrinking_looks_at_all_pixels() -> None:
    stripes = tf.tile(tf.constant([[[0], [255]]], tf.uint8), [60, 30, 3])
    assert np.ptp(shrink(stripes, 10).numpy()) < 60  # of 255: without antialiasing, stripes would stay
