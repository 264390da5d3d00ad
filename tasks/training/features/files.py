"""The files of a features artifact: one `.npy` file per view and one for validation, written and read row by row.

    features.json       what is there, and why the rest is not
    labels-train.npy, labels-validation.npy
    view-<n>.npy        row i belongs to the i-th record of the train split
    validation.npy      row i belongs to the i-th record of the validation split

Rows are read at their places, and not through a map of the file: what is mapped counts as memory of the process, so
that would grow with the data.
"""

import io
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from thaw.pipeline_config.errors import ArtifactError
from thaw.tasks.artifacts.document import Document

DOCUMENT_NAME = "features.json"
VALIDATION_NAME = "validation.npy"

# Numpy has no bfloat16, whose numbers are the upper halves of float32's: it is kept as bits.
RowType = Literal["float32", "float16", "bfloat16"]
STORED: dict[RowType, np.dtype[Any]] = {
    "float32": np.dtype("<f4"),
    "float16": np.dtype("<f2"),
    "bfloat16": np.dtype("<u2"),
}


class FeaturesDocument(Document):
    """The contents of `features.json`: what was decided, and what there is."""

    views: int = Field(description="of the training images; 0 where nothing is kept")
    shape: list[int] = Field(description="of a row")
    type: RowType = Field(description="of its numbers")
    decision: str = Field(description="one line for the log")

    @property
    def row_bytes(self) -> int:
        """What is kept of one view of one image."""
        return math.prod(self.shape) * STORED[self.type].itemsize

    def bytes_of(self, training: int, validation: int) -> int:
        """Compute what the rows of so many images take."""
        return (self.views * training + validation) * self.row_bytes if self.views else 0


def view_name(view: int) -> str:
    """Name the file with a view of the training images, from 0."""
    return f"view-{view}.npy"


def labels_name(split: str) -> str:
    """Name the file with the labels of a split, in the order of its rows: int32 (examples,)."""
    return f"labels-{split}.npy"


def read_document(folder: Path) -> FeaturesDocument:
    """Read `features.json` of a features artifact that has been checked.

    Raises:
        ArtifactError: It is not what this version of thaw writes.
    """
    path = folder / DOCUMENT_NAME
    try:
        return FeaturesDocument.from_json(path.read_bytes(), path)
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path} is no description of features. Run again to rebuild it.") from error


class RowsWriter:
    """Writes one `.npy` file row by row, so that it need not be in memory, and so that a full disk is an error."""

    def __init__(self, path: Path, rows: int, shape: Sequence[int], row_type: RowType) -> None:
        """Begin the file, which will have so many rows of that shape and type."""
        self._type = row_type
        self._file = path.open("wb")
        self._file.write(_header(rows, shape, row_type))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, rows: NDArray[np.float32]) -> None:
        """Write the next rows: float32 (rows, …), finite and in the type's range."""
        self._file.write(encode(rows, self._type).tobytes())


class RowsReader:
    """Reads rows of one `.npy` file by index, from any thread."""

    def __init__(self, path: Path, rows: int, shape: Sequence[int], row_type: RowType) -> None:
        """Open a file that `RowsWriter` has written with the same arguments.

        Raises:
            ArtifactError: It cannot be opened, or holds something else.
        """
        self._path, self._rows, self._shape, self._stored = path, rows, tuple(shape), STORED[row_type]
        self._row_bytes = math.prod(self._shape) * self._stored.itemsize
        header = _header(rows, shape, row_type)
        self._start = len(header)
        try:
            self._descriptor = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise ArtifactError(f"{path} cannot be read: {error.strerror}. Run again to rebuild it.") from error
        if os.pread(self._descriptor, self._start, 0) != header:
            raise ArtifactError(f"{path} holds other rows than {DOCUMENT_NAME} says. Run again to rebuild it.")

    def close(self) -> None:
        """Close the file; a read after this is an error."""
        os.close(self._descriptor)

    def read(self, indices: Sequence[int] | NDArray[np.int64]) -> NDArray[Any]:
        """Read some rows, in any order: a new array (len(indices), …) of the type in which they are stored.

        Raises:
            ArtifactError: The file ends too early.
        """
        rows = np.empty((len(indices), *self._shape), self._stored)
        for place, index in enumerate(indices):
            if not 0 <= index < self._rows:
                raise IndexError(f"Row {index} was asked for; there are {self._rows}.")
            view = rows[place : place + 1].data.cast("B")
            if os.preadv(self._descriptor, [view], self._start + int(index) * self._row_bytes) != self._row_bytes:
                raise ArtifactError(f"{self._path} ends in row {index}. Run again to rebuild it.")
        return rows


def encode(rows: NDArray[np.float32], row_type: RowType) -> NDArray[Any]:
    """Round float32 numbers, finite and in the type's range, to the nearest in which they are kept."""
    if row_type != "bfloat16":
        return rows.astype(STORED[row_type])
    bits = np.ascontiguousarray(rows, np.float32).view(np.uint32)
    # To the nearest, and of two that are as near to the even one, as the processors do it.
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(STORED[row_type])


class FeatureReader:
    """What one stage reads of a features artifact. Close it when nothing reads any more."""

    def __init__(self, folder: Path) -> None:
        """Open the files of a features artifact, checked, in which something is kept.

        Raises:
            ArtifactError: The files and the document do not agree.
        """
        kept = read_document(folder)
        self.views, self.shape, self.type = kept.views, tuple(kept.shape), kept.type
        self.labels: NDArray[np.int32] = np.load(folder / labels_name("train"))
        self.validation_labels: NDArray[np.int32] = np.load(folder / labels_name("validation"))
        self._readers = [
            RowsReader(folder / view_name(view), len(self.labels), kept.shape, kept.type) for view in range(kept.views)
        ]
        self.validation = RowsReader(folder / VALIDATION_NAME, len(self.validation_labels), kept.shape, kept.type)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for reader in (*self._readers, self.validation):
            reader.close()

    def read(self, view: int, indices: NDArray[np.int64]) -> NDArray[Any]:
        """Read a view, from 0, of some training images: a row for each, as it is stored."""
        return self._readers[view].read(indices)


def _header(rows: int, shape: Sequence[int], row_type: RowType) -> bytes:
    buffer = io.BytesIO()
    description = {"descr": STORED[row_type].str, "fortran_order": False, "shape": (rows, *shape)}
    np.lib.format.write_array_header_1_0(buffer, description)
    return buffer.getvalue()
