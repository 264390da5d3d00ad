"""What is accepted can be decoded, whichever way it is read later: thousands of damaged files of every kind."""

import collections

import numpy as np
import pytest
import tensorflow as tf

from tests.pictures.made import every_kind, mutants
from thaw.tasks.pictures.decoding import decode, decode_box, decode_upright
from thaw.tasks.pictures.files import canonical, inspect, readable
from thaw.tasks.pictures.opening import BadImageError
from thaw.tasks.pictures.orientation import jpeg_orientation
from thaw.tasks.pictures.turning import orientation_of

MAX_PIXELS = 100_000
MAX_SIDE = 20

decode_in_graph = tf.function(decode, input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
orientation_in_graph = tf.function(orientation_of, input_signature=[tf.TensorSpec([], tf.string)], autograph=False)


def check(encoded: bytes) -> bool:
    """Whether it is accepted; if so, all that reads it must be able to."""
    try:
        facts = inspect(encoded, MAX_PIXELS)
    except BadImageError as error:
        if not str(error).isprintable():
            raise
        return False
    pixels = decode_in_graph(readable(encoded, MAX_PIXELS)).numpy()
    assert pixels.shape == (facts.height, facts.width, 3)
    np.testing.assert_array_equal(decode(tf.constant(readable(encoded, MAX_PIXELS))), pixels)
    stored = tf.constant(canonical(encoded, None))
    np.testing.assert_array_equal(decode_upright(stored), pixels)
    part = decode_box(stored, lambda height, width: tf.stack([height // 3, width // 2, (height + 1) // 2, 1]))
    assert part.shape == ((facts.height + 1) // 2, 1, 3)
    small = decode_upright(tf.constant(canonical(encoded, MAX_SIDE)))
    assert max(small.shape[:2]) == min(max(facts.height, facts.width), MAX_SIDE)
    return True


def check_all(count: int, seed: int) -> None:
    seen: collections.Counter[str] = collections.Counter()
    accepted: collections.Counter[str] = collections.Counter()
    for name, encoded in mutants(count, seed):
        if encoded[:3] == b"\xff\xd8\xff":
            assert int(orientation_in_graph(encoded)) == jpeg_orientation(encoded)
        kind = name.rpartition(".")[2]
        seen[kind] += 1
        accepted[kind] += check(encoded)
    assert set(seen) == {"jpg", "png", "gif", "bmp", "webp"}
    for kind, number in seen.items():  # else the test tests nothing
        assert 0 < accepted[kind] < number, (kind, accepted[kind], number)


def test_what_is_accepted_of_some_hundred_damaged_files_can_be_decoded() -> None:
    check_all(500, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 8))
def test_what_is_accepted_of_thousands_of_damaged_files_can_be_decoded(seed: int) -> None:
    check_all(2000, seed)


def test_whole_files_of_every_kind_are_accepted() -> None:
    for encoded in every_kind(5, (37, 23)).values():
        assert check(encoded)
