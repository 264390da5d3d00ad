"""A table of paths and labels in a file of comma-separated values, beside or above the images."""

import csv
import functools
import hashlib
import os
import posixpath
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, NoReturn

from thaw.pipeline_config.dataset_schema import CsvSource, SplitName
from thaw.pipeline_config.errors import DatasetError
from thaw.tasks.artifacts.file_digests import FileDigests
from thaw.tasks.home import Home
from thaw.tasks.ingest.sources.base import SPLIT_NAMES, RawExample, content_word, one_line, read_regular_file
from thaw.tasks.process import Reporter


class _Row(NamedTuple):
    origin: str
    class_name: str
    split: SplitName


class _Columns(NamedTuple):
    in_all: int
    path: int
    label: int
    split: int | None


class CsvImages:
    """Images that a table names. Paths are relative to the table's folder, and may not leave it."""

    def __init__(self, config: CsvSource, home: Home) -> None:
        """Prepare the source; the table is not looked at yet.

        Args:
            config: Says where the table is, and which columns it has.
            home: Not used: the images are read where they are.
        """
        del home
        self.config = config
        self.table = Path(config.path)

    def fetch(self, report: Reporter) -> None:
        """Do nothing: the table and the images are on this machine."""

    def splits(self) -> frozenset[SplitName]:
        """List the splits that the table names; without a column for them, train."""
        return frozenset(row.split for row in self._rows)

    def classes(self) -> tuple[str, ...]:
        """List the labels, in code-point order."""
        return tuple(sorted({row.class_name for row in self._rows}))

    def count(self) -> int:
        """Count the rows."""
        return len(self._rows)

    def examples(self) -> Iterator[RawExample]:
        """Go through the images in the order of their paths."""
        for row in self._rows:
            yield RawExample(row.origin, row.class_name, row.split, functools.partial(self.read_again, row.origin))

    def read_again(self, origin: str) -> bytes:
        """Read one file.

        Args:
            origin: Its path below the table's folder, with forward slashes.

        Returns:
            Its content.

        Raises:
            OSError: It is missing, not readable, or not a regular file.
        """
        return read_regular_file(self.table.parent / origin)

    def content_digest(self, digests: FileDigests) -> str:
        """Digest path, label, split and content of every image; other columns, and the order, make no difference.

        Args:
            digests: Knows the files that did not change since they were last read.

        Returns:
            SHA-256, in hexadecimal.
        """
        digest = hashlib.sha256()
        folder = str(self.table.parent)
        contents = digests.sha256_of([f"{folder}{os.sep}{row.origin}" for row in self._rows])
        for row, content in zip(self._rows, contents, strict=True):
            digest.update(f"{row.origin}\0{row.class_name}\0{row.split}\0{content_word(content)}\n".encode())
        return digest.hexdigest()

    @functools.cached_property
    def _rows(self) -> list[_Row]:
        rows: dict[str, _Row] = {}
        first_at: dict[str, int] = {}
        lines = self._lines()
        columns = self._columns(next(lines, (1, []))[1])
        for number, cells in lines:
            row = self._row(number, cells, columns)
            if row.origin in rows:
                text = f"names {one_line(row.origin)}, as row {first_at[row.origin]} does. Expected one row an image"
                self._wrong(number, self.config.path_column, text)
            rows[row.origin], first_at[row.origin] = row, number
        if not rows:
            raise DatasetError(f"{self.table} has no rows. Expected one for each image, below the columns' names.")
        return sorted(rows.values())

    def _lines(self) -> Iterator[tuple[int, list[str]]]:
        """Go through the rows that are not blank, with their numbers; the names of the columns are row 1."""
        number = 0
        try:
            with self.table.open(encoding="utf-8-sig", newline="") as file:  # -sig: spreadsheets write a mark in front
                for cells in csv.reader(file, skipinitialspace=True, strict=True):
                    number += 1
                    if cells:
                        yield number, cells
        except UnicodeDecodeError as error:
            raise DatasetError(f"{self.table} is not UTF-8: {error}. Save it as UTF-8.") from error
        except csv.Error as error:
            raise DatasetError(f"{self.table}, row {number + 1}: {error}. Expected comma-separated values.") from error
        except OSError as error:
            raise DatasetError(f"{self.table}: {error.strerror or error}. Expected comma-separated values.") from error

    def _columns(self, names: list[str]) -> _Columns:
        names = [name.strip() for name in names]
        config = self.config
        split = None if config.split_column is None else self._column(names, config.split_column)
        path, label = self._column(names, config.path_column), self._column(names, config.label_column)
        return _Columns(len(names), path, label, split)

    def _column(self, names: list[str], name: str) -> int:
        if names.count(name) != 1:
            listed = ", ".join(map(one_line, names)) or "none"
            what = "more than one column" if name in names else "no column"
            raise DatasetError(f"{self.table} has {what} {name!r}. Its columns: {listed}.")
        return names.index(name)

    def _row(self, number: int, cells: list[str], columns: _Columns) -> _Row:
        if len(cells) != columns.in_all:
            raise DatasetError(
                f"{self.table}, row {number}: {len(cells)} cells. Expected {columns.in_all}, as there are columns; "
                "quote a cell that holds a comma."
            )
        label = cells[columns.label].strip()
        if not label:
            self._wrong(number, self.config.label_column, "is empty. Expected a label")
        split: SplitName = "train" if columns.split is None else self._split(number, cells[columns.split].strip())
        return _Row(self._origin(number, cells[columns.path]), label, split)

    def _split(self, number: int, name: str) -> SplitName:
        split = SPLIT_NAMES.get(name.lower())
        if split is None:
            listed = ", ".join(SPLIT_NAMES)
            self._wrong(number, str(self.config.split_column), f"is {name!r}. Expected one of {listed}")
        return split

    def _origin(self, number: int, path: str) -> str:
        column = self.config.path_column
        if not path.strip() or "\0" in path:
            self._wrong(number, column, "is empty. Expected a path" if "\0" not in path else "holds a NUL character")
        origin = posixpath.normpath(path)
        if posixpath.isabs(origin):
            self._wrong(number, column, f"is {one_line(path)}. Expected a path relative to the table's folder")
        if origin.split("/")[0] in ("..", "."):
            self._wrong(number, column, f"is {one_line(path)}. Expected a file in the table's folder or below it")
        return origin

    def _wrong(self, number: int, column: str, text: str) -> NoReturn:
        raise DatasetError(f"{self.table}, row {number}, column {column}: {text}.")
