"""One encoded image: is it whole, how large is it, and a form of it that every decoder reads alike. Pillow only."""

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from PIL import Image, UnidentifiedImageError

from thaw.pipeline_config.errors import DatasetError

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP")

_ORIENTATION_TAG = 0x0112
_UPRIGHT = 1
# What makes an image upright again, by the value of EXIF's orientation (Exif 2.32, 4.6.4 A).
_TRANSPOSES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = (5, 6, 7, 8)  # orientations under which width and height change places

_PNG_BIT_DEPTH = 24  # offset of the bit depth in a PNG file: signature 8, length 4, "IHDR" 4, width 4, height 4
_PNG_END = b"\0\0\0\0IEND\xae\x42\x60\x82"  # the last chunk: a length of 0, its name, its checksum
_JPEG_END = b"\xff\xd9"
_SHRUNK_JPEG_QUALITY = 95


class BadImageError(DatasetError):
    """The file is no image that thaw can read; the message is the reason, fit for a list."""


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What an image is, once it has been found whole.

    Attributes:
        width: Pixels, after EXIF's orientation has been applied.
        height: Pixels, after EXIF's orientation has been applied.
        format: "JPEG", "PNG", "BMP", "GIF" or "WEBP", by the file's content.
    """

    width: int
    height: int
    format: str


def inspect(encoded: bytes, max_pixels: int) -> ImageFacts:
    """Decode an image to see that it is whole; of an animation, the first frame.

    Args:
        encoded: The file's content.
        max_pixels: An image whose header declares more is refused before any pixel is decoded.

    Returns:
        Its size and format.

    Raises:
        BadImageError: It is empty, truncated, damaged, too large, or in another format.
    """
    if not encoded:
        raise BadImageError("the file is empty")
    with _reasons_for_bad_images():
        stream = io.BytesIO(encoded)
        image = _open(stream, max_pixels)
        width, height = image.size
        if width * height > max_pixels:
            raise BadImageError(
                f"its header declares {width} × {height} pixels, more than dataset.max_pixels, {max_pixels}"
            )
        _check_end(image, encoded, stream.tell())  # behind the header, which may hold a preview with an end of its own
        if image.format == "PNG":
            # The checksums: `load` passes over them, and TensorFlow insists on them.
            _open(io.BytesIO(encoded), max_pixels).verify()
        # A JPEG's coefficients are all read, and so a missing part is noticed, but 1/64 of the pixels are made.
        image.draft(image.mode, (1, 1))
        image.load()
        if _orientation(image) in _SIDEWAYS:
            width, height = height, width
        return ImageFacts(width, height, _format(image))


def normalise(encoded: bytes) -> bytes:
    """Bring an image into a form that every decoder reads alike, which most images have already.

    Args:
        encoded: A file that `inspect` found whole.

    Returns:
        The same bytes for an upright JPEG in grey or RGB and for a PNG in 8-bit grey or RGB without transparency.
        Otherwise a PNG of the first frame, upright, in 8-bit grey or RGB: CMYK and palettes are converted, 16 bits are
        scaled to 8, and alpha is dropped, so that the colours stored below transparent pixels show.

    Raises:
        BadImageError: It cannot be decoded.
    """
    with _reasons_for_bad_images():
        image = _open(io.BytesIO(encoded), None)
        return encoded if _is_plain(image, encoded) else _encode(_upright_rgb(image), "PNG")


def shrink(encoded: bytes, max_side: int) -> bytes:
    """Normalise an image, and make it smaller if it is larger than asked for.

    Args:
        encoded: A file that `inspect` found whole.
        max_side: Longest width or height of the result, in pixels.

    Returns:
        What `normalise` returns if the image is small enough; otherwise a JPEG if it was one, else a PNG, of the same
        aspect ratio.

    Raises:
        BadImageError: It cannot be decoded.
    """
    with _reasons_for_bad_images():
        image = _open(io.BytesIO(encoded), None)
        if max(image.size) <= max_side:
            return normalise(encoded)
        kept_format = "JPEG" if _format(image) == "JPEG" else "PNG"
        image.draft(image.mode, (2 * max_side, 2 * max_side))  # a JPEG's decoder halves sizes at little cost
        small = _upright_rgb(image)
        small.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
        return _encode(small, kept_format)


def _open(stream: io.BytesIO, max_pixels: int | None) -> Image.Image:
    # Pillow's limit is a global one. With the recipe's in its place it neither refuses what the recipe allows nor lets
    # the WebP decoder, which claims its memory when a file is opened, begin on what the recipe refuses.
    Image.MAX_IMAGE_PIXELS = max_pixels
    return Image.open(stream, formats=FORMATS)


@contextmanager
def _reasons_for_bad_images() -> Iterator[None]:
    try:
        yield
    except (BadImageError, MemoryError):
        raise
    except UnidentifiedImageError as error:  # whose own message holds a memory address
        raise BadImageError("not a JPEG, PNG, BMP, GIF or WebP image, or its header is damaged") from error
    except Image.DecompressionBombError as error:
        raise BadImageError(f"its header declares more than dataset.max_pixels, {Image.MAX_IMAGE_PIXELS}") from error
    except Exception as error:  # decoders fail in many ways; each of them means that this file is bad
        raise BadImageError(" ".join(str(error).split()).rstrip(".") or type(error).__name__) from error


def _format(image: Image.Image) -> str:
    # MPO is what Pillow calls a JPEG that has further pictures, such as a depth map, behind the first.
    return "JPEG" if image.format == "MPO" else str(image.format)


def _check_end(image: Image.Image, encoded: bytes, header_bytes: int) -> None:
    # Pillow is content when it has all pixels; TensorFlow, which decodes most files in training, wants the end as well.
    end = {"PNG": _PNG_END, "JPEG": _JPEG_END}.get(str(image.format), b"")
    if encoded.find(end, header_bytes) < 0:
        raise BadImageError("it is truncated: its end marker is missing")


def _is_plain(image: Image.Image, encoded: bytes) -> bool:
    if image.mode not in ("RGB", "L"):
        return False
    if _format(image) == "JPEG":
        return _orientation(image) == _UPRIGHT
    if _format(image) == "PNG":
        is_flat = "transparency" not in image.info and not getattr(image, "is_animated", False)
        return encoded[_PNG_BIT_DEPTH] == 8 and is_flat and _orientation(image) == _UPRIGHT
    return False


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION_TAG, _UPRIGHT)
    except (struct.error, KeyError, SyntaxError, TypeError, ValueError):
        return _UPRIGHT  # damaged metadata say nothing; the picture itself may well be whole
    return value if value in _TRANSPOSES else _UPRIGHT


def _upright_rgb(image: Image.Image) -> Image.Image:
    image.load()
    orientation = _orientation(image)
    if image.mode.startswith("I;16"):  # Pillow's own conversion clips at 255
        deep = np.asarray(image).astype(np.uint32)
        plain = Image.fromarray(((deep + 128) // 257).astype(np.uint8))
    else:
        plain = image if image.mode == "L" else image.convert("RGB")
    return plain.transpose(_TRANSPOSES[orientation]) if orientation in _TRANSPOSES else plain


def _encode(image: Image.Image, format_name: str) -> bytes:
    image.info = {}  # or a transparent colour, a comment or a profile would be written along
    stream = io.BytesIO()
    if format_name == "JPEG":
        # Colour at full resolution: an image that was made small has none to spare.
        image.save(stream, "JPEG", quality=_SHRUNK_JPEG_QUALITY, subsampling="4:4:4")
    else:
        image.save(stream, "PNG", compress_level=1)
    return stream.getvalue()
