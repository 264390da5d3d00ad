"""What earlier datasets say of their images, so that these are not decoded again; a few dozen bytes an image."""

import struct
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow.parquet as pq

from thaw.tasks.ingest.dataset import IMAGES
from thaw.tasks.ingest.sorted_rows import SortedRows
from thaw.tasks.pictures.files import ImageFacts

_ID_BYTES = 32
_RECORD = struct.Struct(f"<{_ID_BYTES}siiBf")  # id, width, height, number of the format, brightness
_COLUMNS = ["id", "width", "height", "format", "brightness"]
_ROWS_AT_ONCE = 1 << 12


class KnownImages:
    """The facts of images by their ids. May be used from any thread."""

    def __init__(self, folders: Iterable[Path]) -> None:
        """Read dataset artifacts that the store has checked."""
        self._formats: list[str] = []
        self._records = bytearray()
        for image_id, width, height, format_name, brightness in SortedRows(tuple, _rows(folders)):
            if image_id != self._id(len(self) - 1):
                if format_name not in self._formats:
                    self._formats.append(format_name)
                self._records += _RECORD.pack(image_id, width, height, self._formats.index(format_name), brightness)

    def __len__(self) -> int:
        """Count the images."""
        return len(self._records) // _RECORD.size

    def get(self, image_id: str) -> ImageFacts | None:
        """Look up an image by its SHA-256 in hexadecimal; None where no dataset has it."""
        wanted = bytes.fromhex(image_id)
        number = bisect_left(range(len(self)), wanted, key=self._id)
        if self._id(number) != wanted:
            return None
        _, width, height, format_number, brightness = _RECORD.unpack_from(self._records, number * _RECORD.size)
        return ImageFacts(width, height, self._formats[format_number], brightness)

    def _id(self, number: int) -> bytes:
        start = number * _RECORD.size
        return bytes(self._records[start : start + _ID_BYTES])


def _rows(folders: Iterable[Path]) -> Iterator[tuple[bytes, int, int, str, float]]:
    for folder in folders:
        with pq.ParquetFile(folder / IMAGES) as file:
            for batch in file.iter_batches(_ROWS_AT_ONCE, columns=_COLUMNS):
                ids, *facts = (batch.column(name).to_pylist() for name in _COLUMNS)
                yield from zip(map(bytes.fromhex, ids), *facts, strict=True)
