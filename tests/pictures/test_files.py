"""What is accepted as an image, and the form that records hold."""

import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.ingest.pictures import decode, deep_png, encode, jpeg, picture, png_that_claims
from tests.pictures.made import END_OF_JPEG, chunks_of, every_kind, exif, png_of, with_exif
from thaw.tasks.pictures import decoding
from thaw.tasks.pictures.files import canonical, inspect, readable
from thaw.tasks.pictures.opening import BadImageError

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
    return encode(picture(), format_name, exif=b"Exif\0\0" + exif(orientation))


def normalise(encoded):
    return canonical(encoded, None)


def kind_of(encoded):
    facts = inspect(encoded, LIMIT)
    return facts.width, facts.height, facts.format


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "BMP", "GIF", "WEBP"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_the_brightness_of_an_image_is_the_mean_of_what_is_decoded(format_name, mode):
    encoded = encode(picture(size=(31, 17)).convert(mode), format_name)
    assert inspect(encoded, LIMIT).brightness == pytest.approx(decode(normalise(encoded)).mean())


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "BMP", "GIF", "WEBP"])
def test_each_format_is_recognised_by_its_content(format_name):
    encoded = encode(picture(size=(31, 17)), format_name)
    assert kind_of(encoded) == (31, 17, format_name)


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
        inspect(encoded[:-2], LIMIT)


def test_what_follows_the_end_of_an_image_does_no_harm():
    encoded = jpeg() + b"\xff\xda a video, say"
    assert kind_of(encoded) == (20, 14, "JPEG")
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
@pytest.mark.parametrize("format_name", ["JPEG", "WEBP"])
def test_orientation_is_applied_to_the_pixels_and_to_the_size(orientation, format_name):
    encoded = with_orientation(orientation, format_name)
    expected = upright_by_hand(decode(encoded), orientation)
    facts = inspect(encoded, LIMIT)
    normalised = normalise(encoded)
    np.testing.assert_array_equal(decode(normalised), expected)
    assert (facts.height, facts.width) == expected.shape[:2]
    assert normalise(normalised) == normalised


def test_a_png_is_not_turned():
    encoded = with_orientation(6, "PNG")
    assert kind_of(encoded) == (20, 14, "PNG")
    assert normalise(encoded) == encoded


def test_an_orientation_that_does_not_exist_and_damaged_metadata_change_nothing():
    assert normalise(with_orientation(9)) == with_orientation(9)
    damaged = encode(picture(), exif=b"Exif\0\0II*\0\xff\xff\xff\x7f broken")
    assert kind_of(damaged) == (20, 14, "JPEG")
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


def test_of_sixteen_bits_the_upper_eight_stay():
    values = np.array([[0, 128, 255, 256, 1000, 32768, 65407, 65535]], dtype=np.uint16)
    for pixels in (values, np.stack([values, values, values], axis=-1)):
        assert decode(normalise(deep_png(pixels)))[0, :, 0].tolist() == [0, 0, 0, 1, 3, 128, 255, 255]


def test_of_an_animation_the_first_frame_is_taken():
    frames = [picture(1, mode="P"), picture(2, mode="P")]
    encoded = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(decode(normalise(encoded)), np.asarray(frames[0].convert("RGB")))
    first, second = picture(1), picture(2)
    for format_name, options in (("WEBP", {"lossless": True}), ("PNG", {})):
        encoded = encode(first, format_name, save_all=True, append_images=[second], **options)
        np.testing.assert_array_equal(decode(normalise(encoded)), np.asarray(first))


def test_a_small_image_is_not_shrunk():
    assert canonical(jpeg(size=(20, 14)), 20) == jpeg(size=(20, 14))


@pytest.mark.parametrize("size", [(400, 100), (100, 400), (33, 31), (1000, 2)])
def test_shrinking_keeps_the_aspect_ratio_and_the_picture(size):
    for format_name in ("JPEG", "PNG", "WEBP"):
        small = Image.open(io.BytesIO(canonical(encode(picture(size=size), format_name), 30)))
        assert small.format == "PNG"
        assert max(small.size) == 30
        assert min(small.size) == pytest.approx(max(min(size) * 30 / max(size), 1), abs=0.5)
        if min(size) > 2:
            expected = np.asarray(picture(size=size).resize(small.size, Image.Resampling.BILINEAR), dtype=int)
            assert np.abs(np.asarray(small.convert("RGB")) - expected).mean() < 6


@pytest.mark.parametrize("max_side", [None, 30])
@pytest.mark.parametrize("name", every_kind(0, (8, 8)))
def test_the_form_in_records_holds_the_pixels_that_a_release_makes_of_the_file(name, max_side):
    encoded = every_kind(3, (41, 33))[name]
    stored = canonical(encoded, max_side)
    expected = decoding.shrink(decoding.decode(tf.constant(readable(encoded, LIMIT))), max_side)
    np.testing.assert_array_equal(decoding.decode_upright(tf.constant(stored)), expected)
    facts = inspect(encoded, LIMIT)
    assert (facts.height, facts.width) == (expected.shape[:2] if max_side is None else (facts.height, facts.width))
    assert canonical(stored, max_side) == stored
    assert inspect(stored, LIMIT).format in ("JPEG", "PNG")


# --- what Pillow passes and TensorFlow does not


def test_a_png_with_too_little_pixel_data_is_refused():
    chunks = chunks_of(encode(picture(), "PNG"))
    (place,) = [number for number, (name, _) in enumerate(chunks) if name == b"IDAT"]
    rows = zlib.decompress(chunks[place][1])
    chunks[place] = (b"IDAT", zlib.compress(rows[: len(rows) // 2]))
    with pytest.raises(BadImageError, match="truncated or damaged"):
        inspect(png_of(chunks), LIMIT)


def test_a_png_with_an_unknown_critical_chunk_is_refused_and_with_an_unknown_other_one_is_not():
    chunks = chunks_of(encode(picture(), "PNG"))
    inspect(png_of([*chunks[:1], (b"abCd", b"?"), *chunks[1:]]), LIMIT)
    with pytest.raises(BadImageError, match="truncated or damaged"):
        inspect(png_of([*chunks[:1], (b"ABCD", b"?"), *chunks[1:]]), LIMIT)


def test_of_progressive_jpegs_that_are_cut_and_closed_those_are_refused_that_tensorflow_cannot_decode():
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    whole = encode(Image.fromarray(noise), progressive=True)
    cut = [whole[:length] + END_OF_JPEG for length in range(whole.index(b"\xff\xda") + 20, len(whole) - 2, 61)]
    bad = [encoded for encoded in cut if not is_decoded(encoded)]
    assert 2 < len(bad) < len(cut)
    for encoded in bad:
        with pytest.raises(BadImageError, match="it is truncated or damaged: TensorFlow cannot decode it"):
            inspect(encoded, LIMIT)
    for encoded in set(cut).difference(bad):
        inspect(encoded, LIMIT)


def is_decoded(encoded):
    try:
        decoding.decode_upright(tf.constant(encoded))
    except tf.errors.InvalidArgumentError:
        return False
    return True


def test_damaged_metadata_of_a_webp_leave_it_as_it_is():
    damaged = encode(picture(), "WEBP", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f broken")
    assert kind_of(damaged) == (20, 14, "WEBP")
    np.testing.assert_array_equal(decode(canonical(damaged, None)), decode(damaged))


def test_what_needs_no_conversion_is_handed_on_as_it_is():
    assert readable(with_exif(exif(6)), LIMIT) == with_exif(exif(6))
    with pytest.raises(BadImageError, match="declares"):
        readable(jpeg(), 279)
