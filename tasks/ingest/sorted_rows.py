"""Rows in order, however many there are: a few at a time are in memory, and the rest in a temporary file."""

import heapq
import marshal
import os
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any, Generic, TypeVar

from thaw.tasks.artifacts.refusals import writing

_ROWS_AT_ONCE = 1 << 14  # sorted in memory; where there are no more, no file is made
_ROWS_IN_A_BLOCK = 128  # of each sorted run that is merged, one block is in memory

Row = TypeVar("Row", bound=tuple[Any, ...])
_Run = list[tuple[int, int]]  # where its blocks are in the file: from, and how many bytes


class SortedRows(Generic[Row]):
    """Rows in the order in which `sorted` puts them, to be gone through as often as one likes, by one thread at a time.

    The file is where the system has its temporary files, takes about as much room as the rows' text, and has no name,
    so that nothing is left of it when the process ends, however it ends.
    """

    def __init__(
        self, make: Callable[[Iterable[Any]], Row], rows: Iterable[Row], key: Callable[[Row], Any] | None = None
    ) -> None:
        """Take all rows, tuples of plain values, by their key or as they are; `make` is `tuple`, or a class's `_make`.

        Raises:
            ArtifactError: The file cannot be written.
        """
        self._make, self._key = make, key
        self._count = 0
        self._few: list[Row] = []
        self._runs: list[_Run] = []
        self._last: Any = None  # the last key that was written
        left = iter(rows)
        while chunk := sorted(islice(left, _ROWS_AT_ONCE), key=key):
            if not self._count and len(chunk) < _ROWS_AT_ONCE:
                self._few = chunk
            else:
                self._write(chunk)
            self._count += len(chunk)

    def __len__(self) -> int:
        """Count the rows."""
        return self._count

    def __iter__(self) -> Iterator[Row]:
        """Go through the rows in order."""
        if len(self._runs) > 1:
            return heapq.merge(*map(self._read, self._runs), key=self._key)
        return self._read(self._runs[0]) if self._runs else iter(self._few)

    def _write(self, chunk: list[Row]) -> None:
        with writing(Path(tempfile.gettempdir())):
            if not self._runs:
                self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - kept as long as the rows
                weakref.finalize(self, self._file.close)
            first, last = (chunk[0], chunk[-1]) if self._key is None else (self._key(chunk[0]), self._key(chunk[-1]))
            if not self._runs or first < self._last:
                self._runs.append([])  # else what comes in order, as folders do, stays one run
            self._last = last
            for start in range(0, len(chunk), _ROWS_IN_A_BLOCK):
                block = marshal.dumps(list(map(tuple, chunk[start : start + _ROWS_IN_A_BLOCK])))
                self._runs[-1].append((self._file.tell(), len(block)))
                self._file.write(block)
            self._file.flush()

    def _read(self, run: _Run) -> Iterator[Row]:
        # Of a file without a name, which only this process has written, and which is closed when nothing holds `self`.
        blocks = (marshal.loads(os.pread(self._file.fileno(), size, start)) for start, size in run)  # noqa: S302
        return map(self._make, chain.from_iterable(blocks))
