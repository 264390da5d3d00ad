"""One image file: is it whole, how large is it, and the form of it that records hold. Pillow and TensorFlow.

Pixels are what TensorFlow makes of a JPEG or a PNG, which most files are, and what Pillow makes of the rest.
"""

import functools
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from PIL import Image

from thaw.tasks.pictures import orientation as rules
from thaw.tasks.pictures.decoding import decode, decode_upright, shrink
from thaw.tasks.pictures.opening import BadImageError, format_of, open_image, open_small, reasons_for_bad_images

_TENSORFLOWS = ("JPEG", "PNG")

_TURNS = (  # one after another
    (rules.SIDEWAYS, Image.Transpose.TRANSPOSE),
    (rules.MIRRORED, Image.Transpose.FLIP_LEFT_RIGHT),
    (rules.FLIPPED, Image.Transpose.FLIP_TOP_BOTTOM),
)
_PNG_BIT_DEPTH = 24  # offset of the bit depth in a PNG file: signature 8, length 4, "IHDR" 4, width 4, height 4
_QUICK = 1  # of zlib's levels 0 to 9


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What an image is, once it has been found whole.

    Its size is in pixels, after EXIF's orientation has been applied; its format is one of `opening.FORMATS`, by its
    content; its brightness is the mean of all values of its pixels, 0 to 255.
    """

    width: int
    height: int
    format: str
    brightness: float


def inspect(encoded: bytes, max_pixels: int) -> ImageFacts:
    """Decode an image as training will, to see that it is whole; of an animation, the first frame.

    Raises:
        BadImageError: It is empty, truncated, damaged, in another format, or its header declares more than
            `max_pixels`; then no pixel is decoded.
    """
    with _reasons_for_bad_images():
        image = open_small(encoded, max_pixels)
        width, height = image.size
        if format_of(image) in _TENSORFLOWS:
            pixels = decode_upright(tf.constant(encoded)).numpy()
            height, width, _ = pixels.shape
        else:
            pixels = np.asarray(image.convert("RGB"))
        if _orientation(image, encoded) in rules.SIDEWAYS:
            width, height = height, width
        return ImageFacts(width, height, format_of(image), int(pixels.sum(dtype=np.uint64)) / pixels.size)


def readable(encoded: bytes, max_pixels: int) -> bytes:
    """Give what `decode` reads rightly, if the file is whole: itself if it is a JPEG or PNG, else an upright PNG.

    Raises:
        BadImageError: It is no image, or declares more than `max_pixels`, or needs to be converted and cannot be.
    """
    with _reasons_for_bad_images():
        return _readable(open_small(encoded, max_pixels), encoded)


def canonical(encoded: bytes, max_side: int | None) -> bytes:
    """Bring an image into the form that records hold, which most images have already.

    An upright JPEG in grey or RGB, and a PNG in 8-bit grey or RGB without transparency or animation, keep their bytes
    unless their longer side is more than `max_side` pixels. All else becomes a PNG of what `decode` and `shrink` make
    of it, so that nothing is lost that the model is to see.

    Raises:
        BadImageError: It cannot be decoded.
    """
    with _reasons_for_bad_images():
        image = open_image(encoded, None)
        if _is_plain(image, encoded) and (max_side is None or max(image.size) <= max_side):
            return encoded
        return bytes(_to_png(max_side)(_readable(image, encoded)).numpy())


@functools.cache
def _to_png(max_side: int | None) -> Callable[[bytes], tf.Tensor]:
    # One graph for all images: operation by operation, from Python, it takes many times as long.
    @tf.function(input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
    def to_png(encoded: tf.Tensor) -> tf.Tensor:
        return tf.io.encode_png(shrink(decode(encoded), max_side), compression=_QUICK)

    converted: Callable[[bytes], tf.Tensor] = to_png
    return converted


@contextmanager
def _reasons_for_bad_images() -> Iterator[None]:
    with reasons_for_bad_images(tf.errors.ResourceExhaustedError):
        try:
            yield
        except tf.errors.ResourceExhaustedError:
            raise
        except tf.errors.OpError as error:  # whose own message names its operations
            raise BadImageError("it is truncated or damaged: TensorFlow cannot decode it") from error


def _is_plain(image: Image.Image, encoded: bytes) -> bool:
    if image.mode not in ("RGB", "L"):
        return False
    if format_of(image) == "PNG":
        is_flat = "transparency" not in image.info and not getattr(image, "is_animated", False)
        return encoded[_PNG_BIT_DEPTH] == 8 and is_flat
    return format_of(image) == "JPEG" and rules.jpeg_orientation(encoded) == rules.UPRIGHT


def _orientation(image: Image.Image, encoded: bytes) -> int:
    if format_of(image) == "JPEG":
        return rules.jpeg_orientation(encoded)
    if format_of(image) == "WEBP":
        return rules.exif_orientation(image.info.get("exif", b"").removeprefix(rules.EXIF_HEADER))
    return rules.UPRIGHT  # the other formats' orientation is not what viewers go by


def _readable(image: Image.Image, encoded: bytes) -> bytes:
    if format_of(image) in _TENSORFLOWS:
        return encoded
    upright = image if image.mode == "L" else image.convert("RGB")
    orientation = _orientation(image, encoded)
    for orientations, method in _TURNS:
        if orientation in orientations:
            upright = upright.transpose(method)
    upright.info = {}  # or a transparent colour, a comment or a profile would be written along
    stream = io.BytesIO()
    upright.save(stream, "PNG", compress_level=_QUICK)
    return stream.getvalue()
