"""The files of a features artifact: one `.npy` file per view and one for validation.

features.json       what is there, and why the rest is not
labels-train.npy, labels-validation.npy
view-<n>.npy        row i belongs to the i-th record of the train split
validation.npy      row i belongs to the i-th record of the validation split
"""

import math
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from thaw.pipeline_config.dataset_schema import SplitName
from thaw.pipeline_config.errors import ArtifactError
from thaw.tasks.artifacts.document import Document
from thaw.tasks.training.features.rows import STORED, RowsFile, RowsReader, RowType

DOCUMENT_NAME = "features.json"
_LABELS = np.dtype("<i4")


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

    def files(self, split: SplitName, examples: int) -> list[RowsFile]:
        """Say which files hold a split: one for each view of the train split or one for validation, then the labels."""
        names = [f"view-{view}.npy" for view in range(self.views)] if split == "train" else [f"{split}.npy"]
        rows = [RowsFile(name, examples, tuple(self.shape), STORED[self.type]) for name in names]
        return [*rows, RowsFile(labels_name(split), examples, (), _LABELS)]

    def bytes_of(self, training: int, validation: int) -> int:
        """Compute what the rows of so many images take."""
        return (self.views * training + validation) * self.row_bytes if self.views else 0


def labels_name(split: SplitName) -> str:
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
        *views, _ = kept.files("train", len(self.labels))
        self._readers = [RowsReader(folder, file) for file in views]
        validation, _ = kept.files("validation", len(self.validation_labels))
        self.validation = RowsReader(folder, validation)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for reader in (*self._readers, self.validation):
            reader.close()

    def read(self, view: int, indices: NDArray[np.int64]) -> NDArray[Any]:
        """Read a view, from 0, of some training images: a row for each, as it is stored."""
        return self._readers[view].read(indices)
