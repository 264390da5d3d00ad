"""The files of a features artifact: one `.npy` file per view and one for validation.

features.json       what is there, and why the rest is not
ids-train.npy, ids-validation.npy
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
from thaw.tasks.artifacts.store import ArtifactStore
from thaw.tasks.records.index import IDS
from thaw.tasks.training.features.rows import STORED, RowsFile, RowsReader, RowType

DOCUMENT_NAME = "features.json"
_ID_BYTES = np.dtype("u1")
SPLITS_WITH_FEATURES: tuple[SplitName, ...] = ("train", "validation")


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
        """Say which files hold a split: one for each view of the train split or one for validation, then the ids."""
        names = [f"view-{view}.npy" for view in range(self.views)] if split == "train" else [f"{split}.npy"]
        rows = [RowsFile(name, examples, tuple(self.shape), STORED[self.type]) for name in names]
        return [*rows, RowsFile(_ids_name(split), examples, (IDS.itemsize,), _ID_BYTES)]

    def bytes_of(self, training: int, validation: int) -> int:
        """Compute what the rows of so many images take."""
        return (self.views * training + validation) * self.row_bytes if self.views else 0


def id_bytes(ids: NDArray[np.bytes_]) -> NDArray[np.uint8]:
    """Write images' ids as they are stored, uint8 (images, 32)."""
    return np.ascontiguousarray(ids).view(_ID_BYTES).reshape(len(ids), IDS.itemsize)


def _ids_name(split: SplitName) -> str:
    return f"ids-{split}.npy"


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


def open_features(store: ArtifactStore, key: str | None, who: str) -> "FeatureReader | None":
    """Find what frozen layers put out, for a step that is named in messages.

    None where there is no key, or where it was decided that nothing is kept.

    Raises:
        ArtifactError: It should be there, and is not.
    """
    if key is None:
        return None
    ref = store.look_up(key)
    if ref is None:
        raise ArtifactError(f"{who}: the features that it needs are gone. Run again to rebuild them.")
    folder = store.folder(ref)  # look_up has checked it
    return FeatureReader(folder) if read_document(folder).views else None


class FeatureReader:
    """Reads the rows of a features artifact. `ids` says, by split, which images they are. Close it at the end."""

    def __init__(self, folder: Path) -> None:
        """Open the files of a features artifact, checked, in which something is kept.

        Raises:
            ArtifactError: The files and the document do not agree.
        """
        kept = read_document(folder)
        self.views, self.shape, self.type = kept.views, tuple(kept.shape), kept.type
        self.ids: dict[SplitName, NDArray[np.bytes_]] = {}
        self._readers: dict[SplitName, list[RowsReader]] = {}
        for split in SPLITS_WITH_FEATURES:
            ids = np.load(folder / _ids_name(split))
            *views, _ = kept.files(split, len(ids))
            self.ids[split] = ids.view(IDS).ravel()
            self._readers[split] = [RowsReader(folder, file) for file in views]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for readers in self._readers.values():
            for reader in readers:
                reader.close()

    def read(self, split: SplitName, view: int, indices: NDArray[np.int64]) -> NDArray[Any]:
        """Read a view, from 0, of some images of a split: a row for each, as it is stored. Validation has one view."""
        return self._readers[split][view].read(indices)
