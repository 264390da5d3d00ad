"""Rows that earlier features have of images, so that the frozen layers need not be run for these again."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thaw.pipeline_config.dataset_schema import SplitName
from thaw.tasks.records.ids import Found
from thaw.tasks.training.features.files import FeatureReader


class EarlierRows:
    """Rows of the images of one split, in the order of its records, as far as earlier features have them."""

    def __init__(self, readers: Sequence[FeatureReader], split: SplitName, ids: NDArray[np.bytes_]) -> None:
        """Look for the images in features that differ in the dataset alone; what is found first counts."""
        self._readers, self._split, self._found = readers, split, Found(ids)
        for reader in readers:
            self._found.look_in(reader.ids[split])

    @property
    def missing(self) -> NDArray[np.int64]:
        """The positions of the images of which there are none, int64, ascending."""
        return self._found.missing

    def fill(self, rows: NDArray[Any], view: int, start: int) -> None:
        """Read a view of the images from position `start` on into their places in rows (images, …), where there is one.

        Raises:
            ArtifactError: An earlier file ends too early.
        """
        tables = self._found.table[start : start + len(rows)]
        for table, reader in enumerate(self._readers):
            places = np.flatnonzero(tables == table)
            if len(places):
                rows[places] = reader.read(self._split, view, self._found.row[start + places])
