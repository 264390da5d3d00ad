"""A table of paths and labels in a file of comma-separated values, beside or above the images."""

import csv
import hashlib
import posixpath
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from thaw.pipeline_config.dataset_schema import CsvSource, SplitName
from thaw.pipeline_config.errors import DatasetError
from thaw.pipeline_config.messages import received, word
from thaw.tasks.home import Home
from thaw.tasks.ingest.sorted_rows import SortedRows
from thaw.tasks.ingest.sources.base import SPLIT_NAMES, no_column, part_name
from thaw.tasks.ingest.sources.image_files import ImageFile, ImageFiles


class CsvImages(ImageFiles):
    """Images that a table names. Paths are relative to the table's folder, and may not leave it."""

    def __init__(self, config: CsvSource, home: Home) -> None:
        """Prepare the source; the table is not looked at yet, and the home folder not used."""
        del home
        self.config = config
        self.table = Path(config.path)
        self.folder = self.table.parent

    def find(self) -> Iterator[ImageFile]:
        """Go through the rows, in the order of the files; other columns make no difference."""
        rows = SortedRows(tuple, (self._row(number, cells) for number, cells in self._rows(())))
        if not rows:
            raise DatasetError(f"{self.table} has no rows. Expected one for each image, below the columns' names.")
        before: tuple[Any, ...] = (None,)
        for row in rows:
            origin, number, label, split = row
            if origin == before[0]:
                text = f"names {word(origin)}, as row {before[1]} does. Expected one row an image"
                self._wrong(number, self.config.path_column, text)
            before = row
            yield ImageFile(origin, label, split)

    def values(self, columns: Sequence[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Go through the rows again, in the order of the files."""
        rows = (
            (self._origin(number, cells[self.config.path_column]), tuple(part_name(cells[name]) for name in columns))
            for number, cells in self._rows(columns)
        )
        return iter(SortedRows(tuple, rows))

    def columns_digest(self, columns: Sequence[str]) -> str:
        """Digest what stands in the columns, in the order of the files; all else in the table makes no difference."""
        if not columns:
            return ""
        lines = ("\0".join((origin, *values)) for origin, values in self.values(columns))
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def _rows(self, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
        """Go through the rows by the names of the columns, of which the table has these and those of the recipe."""
        lines = self._lines()
        names = [name.strip() for name in next(lines, (1, []))[1]]
        config = self.config
        for name in (config.split_column, config.path_column, config.label_column, *columns):
            self._check_column(name, names)
        for number, cells in lines:
            if len(cells) != len(names):
                raise DatasetError(
                    f"{self.table}, row {number}: {len(cells)} cells. Expected {len(names)}, as there are columns; "
                    "quote a cell that holds a comma."
                )
            yield number, dict(zip(names, cells, strict=True))

    def _lines(self) -> Iterator[tuple[int, list[str]]]:
        """Go through the rows that are not blank, with their numbers; the names of the columns are row 1."""
        number = 0
        try:
            if self.table.exists() and not self.table.is_file():
                raise DatasetError(f"{self.table} is no file. Expected comma-separated values.")
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

    def _check_column(self, name: str | None, names: list[str]) -> None:
        if name is not None and name not in names:
            raise no_column(str(self.table), name, names)
        if name is not None and names.count(name) > 1:
            raise DatasetError(f"{self.table} has more than one column {received(name)}. Rename or remove the others.")

    def _row(self, number: int, cells: dict[str, str]) -> tuple[str, int, str, SplitName]:
        config = self.config
        label = cells[config.label_column].strip()
        if not label:
            self._wrong(number, config.label_column, "is empty. Expected a label")
        named = "train" if config.split_column is None else cells[config.split_column].strip()
        split = SPLIT_NAMES.get(named.lower())
        if split is None:
            self._wrong(
                number, str(config.split_column), f"is {received(named)}. Expected one of {', '.join(SPLIT_NAMES)}"
            )
        return self._origin(number, cells[config.path_column]), number, label, split

    def _origin(self, number: int, path: str) -> str:
        column = self.config.path_column
        if not path.strip() or "\0" in path:
            self._wrong(number, column, "is empty. Expected a path" if "\0" not in path else "holds a NUL character")
        origin = posixpath.normpath(path)
        if posixpath.isabs(origin):
            self._wrong(number, column, f"is {word(path)}. Expected a path relative to the table's folder")
        if origin.split("/")[0] in ("..", "."):
            self._wrong(number, column, f"is {word(path)}. Expected a file in the table's folder or below it")
        return origin

    def _wrong(self, number: int, column: str, text: str) -> NoReturn:
        raise DatasetError(f"{self.table}, row {number}, column {column}: {text}.")
