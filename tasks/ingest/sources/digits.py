"""scikit-learn's handwritten digits as PNG files: real data that ship with the library."""

import functools
import gzip
import hashlib
import io
import string
from collections.abc import Iterator
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING

from thaw.pipeline_config.dataset_schema import DigitsSource, SplitName
from thaw.pipeline_config.errors import DatasetError
from thaw.tasks.artifacts.file_digests import FileDigests
from thaw.tasks.home import Home
from thaw.tasks.ingest.sources.base import ImageSource, RawExample

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_LARGEST_VALUE = 16  # the data set counts dark pixels in blocks of 4 × 4
_ENCODING = "8-bit grey PNG, not compressed, 1"  # part of the digest: another way to encode gives other files


class DigitsImages(ImageSource):
    """1,797 grey images of 8 × 8 pixels in ten classes, all in one split."""

    def __init__(self, config: DigitsSource, home: Home) -> None:
        """Take no settings, and nothing of the home folder: the library holds all."""

    def splits(self) -> frozenset[SplitName]:
        """There is one split, train."""
        return frozenset(("train",))

    def classes(self) -> tuple[str, ...]:
        """The digits from "0" to "9"."""
        return tuple(string.digits)

    def count(self) -> int:
        """Count the images."""
        return len(_load()[1])

    def examples(self) -> Iterator[RawExample]:
        """Go through the images in the library's order."""
        for index, label in enumerate(_load()[1]):
            origin = f"digits/{index:05d}"
            yield RawExample(origin, str(label), "train", functools.partial(self.read_again, origin))

    def read_again(self, origin: str) -> bytes:
        """Encode one image, such as "digits/00001", as a PNG file.

        It is not compressed, so that its bytes do not depend on the version of the compressor.
        """
        from PIL import Image  # as numpy below: the process of a plan or a flow only asks for the digest

        pixels = _load()[0][int(origin.removeprefix("digits/"))]
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "PNG", compress_level=0)
        return stream.getvalue()

    def content_digest(self, digests: FileDigests) -> str:
        """Digest what is packed in the library's table of pixels and labels, and the way they are encoded."""
        del digests
        return hashlib.sha256(_ENCODING.encode() + gzip.decompress(_data_file().read_bytes())).hexdigest()


def _data_file() -> Path:
    # Found without importing the library, which would take longer than all else that a plan does.
    spec = util.find_spec("sklearn")
    if spec is None or not spec.submodule_search_locations:
        raise DatasetError("scikit-learn, which the digits come with, is not installed. Run make setup.")
    return Path(spec.submodule_search_locations[0]) / "datasets" / "data" / "digits.csv.gz"


@functools.cache
def _load() -> "tuple[NDArray[np.uint8], NDArray[np.uint8]]":
    import numpy as np
    from sklearn.datasets import load_digits  # half a second, and only this source needs it

    bunch = load_digits()
    pixels = np.round(bunch.images * (255 / _LARGEST_VALUE)).astype(np.uint8)
    return pixels, bunch.target.astype(np.uint8)
