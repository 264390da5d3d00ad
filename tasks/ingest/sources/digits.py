"""scikit-learn's handwritten digits as PNG files: real data that ship with the library."""

import functools
import gzip
import hashlib
import io
from collections.abc import Iterator
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from thaw.pipeline_config.dataset_schema import DigitsSource, SplitName
from thaw.pipeline_config.errors import DatasetError
from thaw.tasks.artifacts.file_digests import FileDigests
from thaw.tasks.home import Home
from thaw.tasks.ingest.sources.base import RawExample
from thaw.tasks.process import Reporter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Pixels: TypeAlias = NDArray[np.uint8]

_LARGEST_VALUE = 16  # the data set counts dark pixels in blocks of 4 × 4
_ENCODING = "8-bit grey PNG, not compressed, 1"  # part of the digest: another way to encode gives other files


class DigitsImages:
    """1,797 grey images of 8 × 8 pixels in ten classes, all in one split."""

    def __init__(self, config: DigitsSource, home: Home) -> None:
        """Prepare the source.

        Args:
            config: Has no settings.
            home: Not used: the library holds all.
        """
        del home
        self.config = config

    def fetch(self, report: Reporter) -> None:
        """Do nothing: the library is installed."""

    def splits(self) -> frozenset[SplitName]:
        """There is one split, train."""
        return frozenset(("train",))

    def classes(self) -> tuple[str, ...]:
        """The digits from "0" to "9"."""
        return tuple(str(digit) for digit in range(10))

    def count(self) -> int:
        """Count the images."""
        return len(self._labels)

    def examples(self) -> Iterator[RawExample]:
        """Go through the images in the library's order."""
        for index, label in enumerate(self._labels):
            origin = f"digits/{index:05d}"
            yield RawExample(origin, str(label), "train", functools.partial(self.read_again, origin))

    def read_again(self, origin: str) -> bytes:
        """Encode one image.

        Args:
            origin: Such as "digits/00001".

        Returns:
            A PNG file, not compressed so that its bytes do not depend on the version of the compressor.
        """
        from PIL import Image  # as numpy below: the process of a plan or a flow only asks for the digest

        pixels = self._pixels[int(origin.removeprefix("digits/"))]
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "PNG", compress_level=0)
        return stream.getvalue()

    def content_digest(self, digests: FileDigests) -> str:
        """Digest the library's table of pixels and labels, and the way they are encoded.

        Args:
            digests: Not used: what is digested is not the file but what is packed in it.

        Returns:
            SHA-256, in hexadecimal.
        """
        del digests
        digest = hashlib.sha256(_ENCODING.encode())
        digest.update(gzip.decompress(_data_file().read_bytes()))
        return digest.hexdigest()

    @property
    def _pixels(self) -> "Pixels":
        return _load()[0]

    @property
    def _labels(self) -> "Pixels":
        return _load()[1]


def _data_file() -> Path:
    # Found without importing the library, which would take longer than all else that a plan does.
    spec = util.find_spec("sklearn")
    if spec is None or not spec.submodule_search_locations:
        raise DatasetError("scikit-learn, which the digits come with, is not installed. Run make setup.")
    return Path(spec.submodule_search_locations[0]) / "datasets" / "data" / "digits.csv.gz"


@functools.cache
def _load() -> "tuple[Pixels, Pixels]":
    import numpy as np
    from sklearn.datasets import load_digits  # half a second, and only this source needs it

    bunch = load_digits()
    pixels = np.round(bunch.images * (255 / _LARGEST_VALUE)).astype(np.uint8)
    return pixels, bunch.target.astype(np.uint8)
