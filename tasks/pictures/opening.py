"""One image file, as far as Pillow alone can say: what it declares, and whether it is whole. No TensorFlow."""

import io
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, UnidentifiedImageError

from thaw.pipeline_config.errors import DatasetError

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP")


class BadImageError(DatasetError):
    """The file is no image that thaw can read; the message is the reason, fit for a list."""


def check_whole(encoded: bytes, max_pixels: int) -> None:
    """Decode an image, of an animation the first frame, to see that it is whole. A JPEG is decoded small, in less time.

    What Pillow takes and TensorFlow does not, `files.inspect` finds.

    Raises:
        BadImageError: It is not, is in another format, or declares more than `max_pixels`.
    """
    with reasons_for_bad_images():
        image = open_small(encoded, max_pixels)
        image.draft(None, (1, 1))
        image.load()


def open_image(encoded: bytes, max_pixels: int | None) -> Image.Image:
    """Read an image's header; raises what Pillow raises."""
    # Pillow's limit is a global one. With the recipe's in its place it neither refuses what the recipe allows nor lets
    # the WebP decoder, which claims its memory when a file is opened, begin on what the recipe refuses.
    Image.MAX_IMAGE_PIXELS = max_pixels
    return Image.open(io.BytesIO(encoded), formats=FORMATS)


def open_small(encoded: bytes, max_pixels: int) -> Image.Image:
    """Read an image's header; raises BadImageError if it declares more than `max_pixels`."""
    if not encoded:
        raise BadImageError("the file is empty")
    image = open_image(encoded, max_pixels)
    width, height = image.size
    if width * height > max_pixels:
        raise BadImageError(
            f"its header declares {width} × {height} pixels, more than dataset.max_pixels, {max_pixels}"
        )
    return image


@contextmanager
def reasons_for_bad_images(*passed: type[Exception]) -> Iterator[None]:
    """Make a BadImageError of what decoders raise, but not of a lack of memory, nor of what is passed on."""
    try:
        yield
    except (BadImageError, MemoryError):
        raise
    except passed:
        raise
    except UnidentifiedImageError as error:  # whose own message holds a memory address
        raise BadImageError("not a JPEG, PNG, BMP, GIF or WebP image, or its header is damaged") from error
    except Image.DecompressionBombError as error:
        raise BadImageError(f"its header declares more than dataset.max_pixels, {Image.MAX_IMAGE_PIXELS}") from error
    except Exception as error:  # decoders fail in many ways; each of them means that this file is bad
        raise BadImageError(" ".join(str(error).split()).rstrip(".") or type(error).__name__) from error


def format_of(image: Image.Image) -> str:
    """Name an image's format, one of `FORMATS`."""
    # MPO is what Pillow calls a JPEG that has further pictures, such as a depth map, behind the first.
    return "JPEG" if image.format == "MPO" else str(image.format)
