"""Rows of numbers in `.npy` files, written one after the other, and read in any order.

Rows are read at their places, and not through a map of the file: what is mapped counts as memory of the process, so
that would grow with the data.
"""

import hashlib
import io
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from thaw.pipeline_config.errors import ArtifactError
from thaw.tasks.artifacts.refusals import writing

_BYTES_AT_A_TIME = 1 << 20

# Numpy has no bfloat16, whose numbers are the upper halves of float32's: it is kept as bits.
RowType = Literal["float32", "float16", "bfloat16"]
STORED: dict[RowType, np.dtype[Any]] = {
    "float32": np.dtype("<f4"),
    "float16": np.dtype("<f2"),
    "bfloat16": np.dtype("<u2"),
}


@dataclass(frozen=True)
class RowsFile:
    """One `.npy` file of an artifact: how many rows it has, and what a row is."""

    name: str
    rows: int
    shape: tuple[int, ...]
    stored: np.dtype[Any]

    @property
    def header(self) -> bytes:
        """What the file begins with."""
        buffer = io.BytesIO()
        description = {"descr": self.stored.str, "fortran_order": False, "shape": (self.rows, *self.shape)}
        np.lib.format.write_array_header_1_0(buffer, description)
        return buffer.getvalue()

    @property
    def row_bytes(self) -> int:
        """What a row takes."""
        return math.prod(self.shape) * self.stored.itemsize


class FileSoFar(BaseModel):
    """How much of a file is written, and the SHA-256 of that."""

    model_config = ConfigDict(frozen=True)

    bytes: int
    sha256: str

    def is_in(self, path: Path) -> bool:
        """Whether a file begins with it."""
        return _digest(path, self.bytes).hexdigest() == self.sha256


class RowsWriter:
    """Writes one `.npy` file row by row, so that it need not be in memory, and so that a full disk is an error."""

    def __init__(self, folder: Path, file: RowsFile, kept: int = 0) -> None:
        """Begin a file, or go on after the first rows of one that is there, which are kept."""
        self.path = folder / file.name
        self._bytes = len(file.header) + kept * file.row_bytes
        with writing(self.path):
            self._digest = _digest(self.path, self._bytes) if kept else hashlib.sha256(file.header)
            self._file = self.path.open("r+b" if kept else "wb")
            if kept:
                self._file.truncate(self._bytes)
                self._file.seek(self._bytes)
            else:
                self._file.write(file.header)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with writing(self.path):
            self._file.close()

    def write(self, rows: NDArray[Any]) -> None:
        """Write the next rows, of the type in which they are stored."""
        content = rows.tobytes()
        self._digest.update(content)
        self._bytes += len(content)
        with writing(self.path):
            self._file.write(content)

    def settle(self) -> FileSoFar:
        """Wait until all that was written has reached the disk, and say what that is."""
        with writing(self.path):
            self._file.flush()
            os.fsync(self._file.fileno())
        return FileSoFar(bytes=self._bytes, sha256=self._digest.hexdigest())


class RowsReader:
    """Reads rows of one `.npy` file by index, from any thread."""

    def __init__(self, folder: Path, file: RowsFile) -> None:
        """Open a file that `RowsWriter` has written.

        Raises:
            ArtifactError: It cannot be opened, or holds something else.
        """
        self._path, self._of = folder / file.name, file
        self._start = len(file.header)
        try:
            self._descriptor = os.open(self._path, os.O_RDONLY)
        except OSError as error:
            raise ArtifactError(f"{self._path} cannot be read: {error.strerror}. Run again to rebuild it.") from error
        if os.pread(self._descriptor, self._start, 0) != file.header:
            raise ArtifactError(f"{self._path} holds other rows than expected. Run again to rebuild it.")

    def close(self) -> None:
        """Close the file; a read after this is an error."""
        os.close(self._descriptor)

    def read(self, indices: Sequence[int] | NDArray[np.int64]) -> NDArray[Any]:
        """Read some rows, in any order: a new array (len(indices), …) of the type in which they are stored.

        Raises:
            ArtifactError: The file ends too early.
        """
        rows, size = np.empty((len(indices), *self._of.shape), self._of.stored), self._of.row_bytes
        for place, index in enumerate(indices):
            if not 0 <= index < self._of.rows:
                raise IndexError(f"Row {index} was asked for; there are {self._of.rows}.")
            view = rows[place : place + 1].data.cast("B")
            if os.preadv(self._descriptor, [view], self._start + int(index) * size) != size:
                raise ArtifactError(f"{self._path} ends in row {index}. Run again to rebuild it.")
        return rows


def encode(rows: NDArray[np.float32], row_type: RowType) -> NDArray[Any]:
    """Round float32 numbers, finite and in the type's range, to the nearest in which they are kept."""
    if row_type != "bfloat16":
        return rows.astype(STORED[row_type])
    bits = np.ascontiguousarray(rows, np.float32).view(np.uint32)
    # To the nearest, and of two that are as near to the even one, as the processors do it.
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(STORED[row_type])


def decode(rows: NDArray[Any], row_type: RowType) -> NDArray[np.float32]:
    """Give numbers as they are kept as float32, which holds them all."""
    if row_type != "bfloat16":
        return rows.astype(np.float32)
    return (rows.astype(np.uint32) << 16).view(np.float32)


def _digest(path: Path, length: int) -> "hashlib._Hash":
    """Begin the SHA-256 of a file with its first bytes; fewer, where it is shorter."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while length > 0 and (content := file.read(min(length, _BYTES_AT_A_TIME))):
            digest.update(content)
            length -= len(content)
    return digest
