"""The orientation in EXIF: as Pillow reads it, and the same in Python and in a graph, whatever the bytes."""

import struct

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from tests.ingest.pictures import encode, picture
from tests.pictures.made import exif, with_exif
from thaw.tasks.pictures.decoding import decode_upright
from thaw.tasks.pictures.orientation import exif_orientation, jpeg_orientation
from thaw.tasks.pictures.turning import orientation_of, turn

in_graph = tf.function(orientation_of, input_signature=[tf.TensorSpec([], tf.string)])


def both(encoded: bytes) -> int:
    """The orientation by Python and by a graph, which must agree."""
    found = jpeg_orientation(encoded)
    assert int(in_graph(encoded)) == found
    return found


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("orientation", range(1, 9))
def test_all_sixteen_are_read_and_turned_as_pillow_does(orientation: int, order: str) -> None:
    encoded = with_exif(exif(orientation, order))
    assert both(encoded) == orientation
    stored = Image.fromarray(decode_upright(tf.constant(encoded)).numpy())
    tagged = Image.Exif()
    tagged.load(b"Exif\0\0" + exif(orientation, order))
    stored.getexif()[0x0112] = tagged[0x0112]
    expected = np.asarray(ImageOps.exif_transpose(stored))
    for apply in (turn, tf.function(turn)):
        np.testing.assert_array_equal(apply(tf.constant(np.asarray(stored)), tf.constant(orientation)), expected)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_what_pillow_writes_is_read(orientation: int) -> None:
    tagged = Image.Exif()
    tagged[0x0112] = orientation
    assert both(encode(picture(), exif=tagged)) == orientation


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"II*\0",
        exif(0),
        exif(9),
        exif(65535),
        exif(6, kind=4),
        exif(6, count=2),
        exif(6, count=0),
        exif(6, tag=0x0111),
        exif(6, directory=2**32 - 1),
        exif(6, directory=100),
        exif(6)[:-5],
        b"XX*\0" + exif(6)[4:],
    ],
)
def test_what_makes_no_sense_is_upright(content: bytes) -> None:
    assert both(with_exif(content)) == 1


def test_the_first_of_two_tags_and_of_two_segments_counts() -> None:
    first = exif(6)
    entry = first[10:22]
    assert both(with_exif(first[:8] + struct.pack("<H", 2) + entry + exif(3)[10:22])) == 6
    one, other = with_exif(exif(6)), with_exif(exif(3))
    length = len(other) - len(encode(picture()))
    assert both(one[:2] + other[2 : 2 + length] + one[2:]) == 3


def test_other_segments_gaps_and_markers_without_a_length_are_passed_over() -> None:
    encoded = with_exif(exif(8))
    application = b"\xff\xed" + struct.pack(">H", 300) + b"\xff\xe1" * 149
    xmp = b"\xff\xe1" + struct.pack(">H", 20) + b"not EXIF, but XMP."
    assert both(encoded[:2] + application + xmp + b"\xff\xff\xff" + b"\xff\x01" + encoded[2:]) == 8


def test_behind_the_beginning_of_the_picture_nothing_counts() -> None:
    for marker in (b"\xff\xda\0\x02", b"\xff\xd9", b"\xff\xd8", b"\0\0"):
        encoded = with_exif(exif(8))
        assert both(encoded[:2] + marker + encoded[2:]) == 1


@settings(max_examples=300, deadline=None)
@given(content=st.binary(max_size=60), head=st.sampled_from([b"", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08"]))
def test_whatever_stands_in_exif_both_find_the_same(content: bytes, head: bytes) -> None:
    assert both(with_exif(head + content)) == exif_orientation(head + content)


@settings(max_examples=300, deadline=None)
@given(content=st.binary(max_size=40), cut=st.integers(0, 60))
def test_whatever_the_file_both_find_the_same(content: bytes, cut: int) -> None:
    encoded = b"\xff\xd8\xff" + content
    both(encoded)
    both(encoded[:2] + with_exif(exif(6))[2:cut] + encoded[2:])
