"""Ids of images as arrays: SHA-256 of what an image's file holds, 32 bytes each. No TensorFlow."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from thaw.tasks.records.index import IDS


def ids_of(hexadecimal: Iterable[str]) -> NDArray[np.bytes_]:
    """Write ids as an array (ids,) of `IDS`."""
    return np.frombuffer(bytes.fromhex("".join(hexadecimal)), IDS)


def numbers_of(ids: NDArray[np.bytes_]) -> NDArray[np.int64]:
    """Give each image a number that follows from its content, int64 (ids,): what its random draws are made of.

    Of 64 bits, so that two of a hundred million images would share one by a chance of one in four thousand.
    """
    return np.ascontiguousarray(ids).view("<i8").reshape(len(ids), 4)[:, 0].astype(np.int64)


class Found:
    """Where some images are found: in which of several tables, counted from 0, and at which row of it; -1 in none."""

    def __init__(self, ids: NDArray[np.bytes_]) -> None:
        """Begin to look for these; nothing is found yet."""
        self._ids, self._tables = ids, 0
        self.table = np.full(len(ids), -1)
        self.row = np.full(len(ids), -1)

    @property
    def missing(self) -> NDArray[np.int64]:
        """The positions, among the ids, of those that are not found yet."""
        return np.flatnonzero(self.table < 0)

    def look_in(self, ids: NDArray[np.bytes_]) -> None:
        """Look for those that are missing in one more table, whose ids are in ascending order."""
        missing = self.missing
        rows = np.searchsorted(ids, self._ids[missing])
        there = rows < len(ids)
        there[there] = ids[rows[there]] == self._ids[missing[there]]
        self.table[missing[there]], self.row[missing[there]] = self._tables, rows[there]
        self._tables += 1
