import io
import struct

import numpy as np
import pytest
from PIL import Image

from tests.ingest.pictures import decode, deep_png, encode, jpeg, picture, png_that_claims
from thaw.tasks.ingest.images import BadImageError, ImageFacts, inspect, normalise, shrink

LIMIT = 50_000_000


def upright_by_hand(pixels, orientation):
    """What each EXIF orientation means, in numpy rather than in Pillow's names."""
    return {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.transpose(1, 0, 2),
        6: np.rot90(pixels, k=-1),
        7: np.rot90(pixels, k=2).transpose(1, 0, 2),
        8: np.rot90(pixels, k=1),
    }[orientation]


def with_orientation(orientation, format_name="JPEG"):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encode(picture(), format_name, exif=exif)


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "BMP", "GIF", "WEBP"])
def test_each_format_is_recognised_by_its_content(format_name):
    encoded = encode(picture(size=(31, 17)), format_name)
    assert inspect(encoded, LIMIT) == ImageFacts(31, 17, format_name)


@pytest.mark.parametrize(
    ("encoded", "reason"),
    [
        (b"", "empty"),
        (b"not an image, whatever its name", "not a JPEG"),
        (b"\xff\xd8\xff\xe0", "not a JPEG"),
        (encode(picture(), "TIFF"), "not a JPEG"),
    ],
)
def test_what_is_no_image_is_refused_with_a_reason_that_holds_no_address(encoded, reason):
    with pytest.raises(BadImageError, match=reason) as caught:
        inspect(encoded, LIMIT)
    assert "0x" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "encoded",
    [jpeg(), encode(picture(), progressive=True), encode(picture(mode="L")), encode(picture(), "PNG")],
    ids=["baseline", "progressive", "grey", "png"],
)
def test_a_file_that_ends_anywhere_before_its_end_is_refused(encoded):
    inspect(encoded, LIMIT)
    for length in range(len(encoded)):
        with pytest.raises(BadImageError):
            inspect(encoded[:length], LIMIT)


@pytest.mark.parametrize("format_name", ["GIF", "WEBP", "BMP"])
def test_half_a_file_is_refused(format_name):
    encoded = encode(picture(size=(64, 48)), format_name)
    with pytest.raises(BadImageError):
        inspect(encoded[: len(encoded) // 2], LIMIT)


def test_a_png_whose_pixels_fail_their_checksum_is_refused():
    encoded = bytearray(encode(picture(), "PNG"))
    encoded[encoded.index(b"IDAT") + 20] ^= 1
    with pytest.raises(BadImageError):
        inspect(bytes(encoded), LIMIT)


def test_a_preview_inside_the_header_does_not_hide_a_missing_end():
    preview = jpeg(size=(4, 4))
    whole = jpeg()
    segment = b"\xff\xe5" + struct.pack(">H", len(preview) + 2) + preview
    encoded = whole[:2] + segment + whole[2:]
    inspect(encoded, LIMIT)
    with pytest.raises(BadImageError, match="truncated"):
        inspect(encoded[:-1] + b"\xd0", LIMIT)


def test_what_follows_the_end_of_an_image_does_no_harm():
    encoded = jpeg() + b"\xff\xda a video, say"
    assert inspect(encoded, LIMIT) == ImageFacts(20, 14, "JPEG")
    assert normalise(encoded) == encoded


def test_a_jpeg_with_a_second_picture_behind_the_first_is_a_jpeg():
    encoded = encode(picture(1), "MPO", save_all=True, append_images=[picture(2)])
    assert inspect(encoded, LIMIT).format == "JPEG"
    assert normalise(encoded) == encoded


@pytest.mark.parametrize(("width", "height"), [(100_000, 100_000), (8_000, 7_000), (2**31 - 1, 1)])
def test_a_header_that_declares_too_many_pixels_is_refused_before_decoding(width, height):
    with pytest.raises(BadImageError, match="declares"):
        inspect(png_that_claims(width, height), LIMIT)


def test_a_webp_that_declares_too_many_pixels_is_refused_before_its_decoder_claims_memory():
    encoded = bytearray(encode(picture(), "WEBP", save_all=True, append_images=[picture(1)]))
    place = encoded.index(b"VP8X") + 12
    encoded[place : place + 6] = (16_000 - 1).to_bytes(3, "little") * 2
    with pytest.raises(BadImageError, match="declares"):
        inspect(bytes(encoded), LIMIT)


def test_the_limit_on_pixels_is_the_recipes_and_not_pillows(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    encoded = jpeg(size=(20, 14))
    assert inspect(encoded, 280).width == 20
    with pytest.raises(BadImageError, match=r"20 × 14 pixels, more than dataset\.max_pixels, 279"):
        inspect(encoded, 279)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert normalise(encoded) == encoded


@pytest.mark.parametrize(
    "encoded",
    [
        jpeg(),
        encode(picture(mode="L")),
        encode(picture(), progressive=True),
        encode(picture(), "PNG"),
        encode(picture(mode="L"), "PNG"),
        with_orientation(1),
    ],
)
def test_a_plain_image_keeps_its_bytes(encoded):
    assert normalise(encoded) == encoded


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP"])
def test_orientation_is_applied_to_the_pixels_and_to_the_size(orientation, format_name):
    encoded = with_orientation(orientation, format_name)
    expected = upright_by_hand(decode(encoded), orientation)
    facts = inspect(encoded, LIMIT)
    normalised = normalise(encoded)
    np.testing.assert_array_equal(decode(normalised), expected)
    assert (facts.height, facts.width) == expected.shape[:2]
    assert normalise(normalised) == normalised


def test_an_orientation_that_does_not_exist_and_damaged_metadata_change_nothing():
    assert normalise(with_orientation(9)) == with_orientation(9)
    damaged = encode(picture(), exif=b"Exif\0\0II*\0\xff\xff\xff\x7f broken")
    assert inspect(damaged, LIMIT) == ImageFacts(20, 14, "JPEG")
    assert normalise(damaged) == damaged


def test_cmyk_becomes_rgb():
    encoded = encode(picture(mode="CMYK"))
    normalised = normalise(encoded)
    assert Image.open(io.BytesIO(normalised)).mode == "RGB"
    original = np.asarray(picture(), dtype=int)
    assert np.abs(decode(normalised) - original).mean() < 20  # lossy, but by no means inverted


def test_alpha_is_dropped_and_the_colours_below_it_stay():
    image = picture()
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    np.testing.assert_array_equal(decode(normalise(encode(image, "PNG"))), np.asarray(picture()))
    grey = picture(mode="L")
    grey.putalpha(7)
    np.testing.assert_array_equal(decode(normalise(encode(grey, "PNG"))), decode(encode(picture(mode="L"), "PNG")))


def test_a_transparent_colour_leaves_no_trace():
    for mode, colour in (("RGB", (0, 0, 0)), ("L", 0), ("P", 0)):
        image = picture(mode=mode)
        normalised = Image.open(io.BytesIO(normalise(encode(image, "PNG", transparency=colour))))
        assert "transparency" not in normalised.info
        np.testing.assert_array_equal(np.asarray(normalised.convert("RGB")), np.asarray(image.convert("RGB")))


def test_palettes_and_single_bits_become_levels():
    for image in (picture(mode="P"), picture(mode="1")):
        normalised = Image.open(io.BytesIO(normalise(encode(image, "PNG"))))
        assert normalised.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(normalised), np.asarray(image.convert("RGB")))


def test_sixteen_bits_are_scaled_to_eight_and_not_clipped():
    values = np.array([[0, 128, 129, 257, 1000, 32768, 65407, 65535]], dtype=np.uint16)
    assert decode(normalise(deep_png(values)))[0, :, 0].tolist() == [0, 0, 1, 1, 4, 128, 255, 255]
    colours = np.stack([values, values, values], axis=-1)
    deviation = np.abs(decode(normalise(deep_png(colours)))[..., 0] - values / 257)
    assert deviation.max() <= 1


def test_of_an_animation_the_first_frame_is_taken():
    frames = [picture(1, mode="P"), picture(2, mode="P")]
    encoded = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(decode(normalise(encoded)), np.asarray(frames[0].convert("RGB")))
    first, second = picture(1), picture(2)
    for format_name, options in (("WEBP", {"lossless": True}), ("PNG", {})):
        encoded = encode(first, format_name, save_all=True, append_images=[second], **options)
        np.testing.assert_array_equal(decode(normalise(encoded)), np.asarray(first))


def test_a_small_image_is_not_shrunk():
    assert shrink(jpeg(size=(20, 14)), 20) == jpeg(size=(20, 14))


@pytest.mark.parametrize("size", [(400, 100), (100, 400), (33, 31), (1000, 2)])
def test_shrinking_keeps_the_aspect_ratio_and_the_picture(size):
    for format_name, expected_format in (("JPEG", "JPEG"), ("PNG", "PNG"), ("WEBP", "PNG")):
        small = Image.open(io.BytesIO(shrink(encode(picture(size=size), format_name), 30)))
        assert small.format == expected_format
        assert max(small.size) == 30
        assert min(small.size) == pytest.approx(min(size) * 30 / max(size), abs=1)
        if min(size) > 2:
            expected = np.asarray(picture(size=size).resize(small.size, Image.Resampling.LANCZOS), dtype=int)
            assert np.abs(np.asarray(small.convert("RGB")) - expected).mean() < 6


def test_shrinking_turns_an_image_upright_too():
    exif = Image.Exif()
    exif[0x0112] = 6
    small = Image.open(io.BytesIO(shrink(encode(picture(size=(200, 100)), exif=exif), 50)))
    assert small.size == (25, 50)
    assert 0x0112 not in small.getexif()
    expected = np.asarray(picture(size=(200, 100)).rotate(-90, expand=True).resize((25, 50)), dtype=int)
    assert np.abs(np.asarray(small) - expected).mean() < 6
