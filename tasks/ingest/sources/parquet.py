"""Images in Parquet files, as on the Hugging Face hub. pyarrow is imported where it is used; see `table_files`."""

import bisect
import functools
import itertools
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from thaw.pipeline_config.dataset_schema import ParquetSource, SplitName
from thaw.pipeline_config.errors import DatasetError
from thaw.pipeline_config.messages import received, word
from thaw.tasks.artifacts.file_digests import FileDigests
from thaw.tasks.home import Home
from thaw.tasks.ingest.sources.base import SPLIT_NAMES, ImageSource, RawExample, listed, no_column, part_name
from thaw.tasks.ingest.sources.image_spool import ImageSpool
from thaw.tasks.ingest.sources.table_files import TableFile, digest_files, find_files

# Rows decoded at once. Together with the buffer below it bounds the memory, however large a file or its row groups are.
_IMAGE_ROWS_AT_ONCE = 16
_LABEL_ROWS_AT_ONCE = 8192
_READ_BUFFER_BYTES = 1 << 20
_LISTED_VALUES = 10

# pyarrow's names of types.
_BYTES = ("binary", "large_binary", "binary_view")
_TEXT = ("string", "large_string", "string_view")


class _Footer(NamedTuple):
    file: TableFile
    starts: list[int]  # the first row of each row group, and the number of rows
    label_kind: str
    names: tuple[str, ...] | None


class _Contents(NamedTuple):
    labels: set[int | str]
    splits: set[SplitName]


class ParquetImages(ImageSource):
    """Rows of Parquet files with an encoded image and a label each.

    Files are read as streams of a few rows. An image is named by its file and its row, from 0. Reading images again in
    any order copies each row group that is needed, once, to a temporary file in the home folder.
    """

    def __init__(self, config: ParquetSource, home: Home) -> None:
        """Prepare the source; nothing is looked at yet, and the home folder has room for what is read again."""
        self._config = config
        self._spool = ImageSpool(home.path)

    def splits(self) -> frozenset[SplitName]:
        """List the splits that the files or the split column have; without either, train."""
        return frozenset(self._contents.splits)

    def classes(self) -> tuple[str, ...]:
        """List the names that the recipe or the files give; without any, the labels in code-point order."""
        if self._names is not None:
            return self._names
        return tuple(sorted(str(label) for label in self._contents.labels))

    def count(self) -> int:
        """Count the rows."""
        return sum(footer.starts[-1] for footer in self._footers.values())

    def examples(self) -> Iterator[RawExample]:
        """Go through the rows, in the order of the files' names."""
        columns = [self._config.image_column, *self._label_columns]
        for file in self._files:
            for row, (image, label, *split) in enumerate(_rows(file, columns, _IMAGE_ROWS_AT_ONCE)):
                encoded = self._encoded(file, row, image)
                yield RawExample(
                    origin=f"{file.name}#{row}",
                    class_name=self._class_name(file, row, label),
                    split=self._split(file, row, *split),
                    read=functools.partial(bytes, encoded),
                )

    def read_again(self, origin: str) -> bytes:
        """Read one image, by file and row, such as "train/0000.parquet#17".

        Raises:
            OSError: There is no such row any more, or no room for the images of its row group.
            DatasetError: The file cannot be read.
            DownloadError: The object store does not answer.
        """
        name, _, number = origin.rpartition("#")
        row = int(number)
        if name not in self._footers or row >= self._footers[name].starts[-1]:
            raise FileNotFoundError(f"the source has no {origin}")
        file, starts, *_ = self._footers[name]
        group = bisect.bisect_right(starts, row) - 1
        return self._spool.read((name, group), row - starts[group], lambda: self._images_of(file, group, starts[group]))

    def values(self, columns: Sequence[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Go through these columns of all rows, which may be of any type that can be written as text."""
        for file in self._files:
            for row, cells in enumerate(_texts(file, columns)):
                yield f"{file.name}#{row}", cells

    def content_digest(self, digests: FileDigests) -> str:
        """Digest the names, the splits and the content of the files; of objects in a store, the size and time."""
        return digest_files(self._files, digests)

    @functools.cached_property
    def _files(self) -> list[TableFile]:
        return find_files(self._config.path)

    @property
    def _label_columns(self) -> list[str]:
        return [column for column in (self._config.label_column, self._config.split_column) if column is not None]

    @functools.cached_property
    def _footers(self) -> dict[str, _Footer]:
        """What the files say of themselves, by their names."""
        footers = {}
        for file in self._files:
            with _table(file) as table:
                groups = (table.metadata.row_group(group).num_rows for group in range(table.num_row_groups))
                starts = list(itertools.accumulate(groups, initial=0))
                kind = _check_columns(file, table.schema_arrow, self._config)
                names = _names_in_metadata(table.schema_arrow, self._config.label_column)
            footers[file.name] = _Footer(file, starts, kind, names)
        return footers

    @functools.cached_property
    def _names(self) -> tuple[str, ...] | None:
        """The class names by label; None where the labels are the names, and any is allowed."""
        footers = list(self._footers.values())
        kinds = {footer.label_kind: footer.file.name for footer in footers}
        stated = {footer.names: footer.file.name for footer in footers if footer.names is not None}
        if len(kinds) > 1:
            received = " and ".join(f"{kind} in {name}" for kind, name in kinds.items())
            raise DatasetError(f"Column {self._config.label_column} holds {received}. Expected one type in all files.")
        if self._config.names is not None:
            return tuple(self._config.names)
        if len(stated) > 1:
            one, other = list(stated.values())[:2]
            raise DatasetError(f"{one} and {other} state different class names. Give dataset.source.names.")
        if "integers" in kinds and not stated:
            raise DatasetError(
                f"Column {self._config.label_column} holds integers, and {self._files[0].name} does not say what they "
                "stand for. Give dataset.source.names, in the order of the labels."
            )
        return next(iter(stated), None)

    @functools.cached_property
    def _contents(self) -> _Contents:
        """All labels and splits there are: a pass over the small columns, which also finds what is wrong in them."""
        found = _Contents(set(), set())
        for file in self._files:
            for row, (label, *split) in enumerate(_rows(file, self._label_columns, _LABEL_ROWS_AT_ONCE)):
                self._class_name(file, row, label)
                found.labels.add(label)
                found.splits.add(self._split(file, row, *split))
        return found

    def _class_name(self, file: TableFile, row: int, label: int | str | None) -> str:
        names = self._names
        if label is None or label == "":
            raise _wrong_row(file, row, self._config.label_column, "holds no label", "Expected one in each row")
        if isinstance(label, str) and (names is None or label in names):
            return label
        if isinstance(label, int) and names is not None and 0 <= label < len(names):
            return names[label]
        expected = f"0 to {len(names or ()) - 1}" if isinstance(label, int) else listed(names or (), _LISTED_VALUES)
        raise _wrong_row(file, row, self._config.label_column, f"holds {received(label)}", f"Expected {expected}")

    def _split(self, file: TableFile, row: int, value: str | None = None) -> SplitName:
        if self._config.split_column is None:
            return file.split or "train"
        split = SPLIT_NAMES.get(value.lower()) if isinstance(value, str) else None
        if split is None:
            expected = f"Expected {', '.join(SPLIT_NAMES)}"
            raise _wrong_row(file, row, self._config.split_column, f"holds {received(value)}", expected)
        return split

    def _encoded(self, file: TableFile, row: int, image: bytes | dict[str, Any] | None) -> bytes:
        encoded, path = (image.get("bytes"), image.get("path")) if isinstance(image, dict) else (image, None)
        if encoded is None:
            found = f"holds a path without bytes, {received(path)}" if path else "holds no image"
            raise _wrong_row(file, row, self._config.image_column, found, "Expected an encoded image in each row")
        return encoded

    def _images_of(self, file: TableFile, group: int, first_row: int) -> Iterator[bytes]:
        for row, (image,) in enumerate(_rows(file, [self._config.image_column], _IMAGE_ROWS_AT_ONCE, group), first_row):
            yield self._encoded(file, row, image)


@contextmanager
def _table(file: TableFile) -> Iterator[Any]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with (
            file.filesystem.open_input_file(file.path) as stream,
            parquet.ParquetFile(stream, buffer_size=_READ_BUFFER_BYTES, pre_buffer=False) as table,
        ):
            yield table
    except (OSError, ValueError, pa.ArrowException) as error:  # ValueError: a string that is not UTF-8
        raise file.error(error) from error


def _rows(file: TableFile, columns: list[str], at_once: int, group: int | None = None) -> Iterator[tuple[Any, ...]]:
    with _table(file) as table:
        groups = None if group is None else [group]
        for batch in table.iter_batches(at_once, row_groups=groups, columns=columns, use_threads=False):
            yield from zip(*(batch.column(column).to_pylist() for column in columns), strict=True)


def _texts(file: TableFile, columns: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Go through what columns hold, by `part_name`."""
    from pyarrow import types

    with _table(file) as table:
        for column in columns:
            found = _type_of(file, table.schema_arrow, column)
            if not (types.is_primitive(found) or types.is_decimal(found) or str(found) in (*_TEXT, "null")):
                raise DatasetError(
                    f"Column {word(column)} of {file.name} is {word(str(found))}. Expected text, numbers or booleans."
                )
        for batch in table.iter_batches(_LABEL_ROWS_AT_ONCE, columns=list(columns), use_threads=False):
            cells = (_as_text(batch.column(column)) for column in columns)
            yield from (tuple(map(part_name, row)) for row in zip(*cells, strict=True))


def _as_text(array: Any) -> list[str | None]:
    """Write values as text: whole numbers without a point, also where a float holds them, and no number as nothing."""
    import pyarrow as pa
    from pyarrow import compute, types

    plain = array.dictionary_decode() if types.is_dictionary(array.type) else array
    if types.is_floating(plain.type):
        plain = compute.if_else(compute.is_nan(plain), pa.scalar(None, plain.type), plain)
    texts: list[str | None] = plain.cast(pa.string()).to_pylist()
    return texts


def _type_of(file: TableFile, schema: Any, column: str) -> Any:
    from pyarrow import types

    if column not in schema.names:
        raise no_column(file.name, column, schema.names)
    found = schema.field(column).type
    return found.value_type if types.is_dictionary(found) else found


def _check_columns(file: TableFile, schema: Any, config: ParquetSource) -> str:
    """Find out what kind of labels a file has, and that all of its columns are there and can be used."""
    from pyarrow import types

    image, label = (_type_of(file, schema, column) for column in (config.image_column, config.label_column))
    has_bytes = types.is_struct(image) and image.get_field_index("bytes") >= 0
    if str(image.field("bytes").type if has_bytes else image) not in _BYTES:
        raise DatasetError(
            f"Column {config.image_column} of {file.name} is {image}. Expected bytes, or a struct with a field bytes."
        )
    if config.split_column is not None and str(split := _type_of(file, schema, config.split_column)) not in _TEXT:
        raise DatasetError(f"Column {config.split_column} of {file.name} is {split}. Expected strings.")
    if not types.is_integer(label) and str(label) not in _TEXT:
        raise DatasetError(f"Column {config.label_column} of {file.name} is {label}. Expected integers or strings.")
    return "integers" if types.is_integer(label) else "strings"


def _names_in_metadata(schema: Any, label_column: str) -> tuple[str, ...] | None:
    """Read the names that the Hugging Face hub's library writes for a ClassLabel; there need not be any."""
    text = (schema.metadata or {}).get(b"huggingface")
    if text is None:
        return None
    try:
        names = json.loads(text)["info"]["features"][label_column]["names"]
    except (ValueError, KeyError, TypeError):  # another tool's metadata, or a column that is no ClassLabel
        return None
    return tuple(str(name) for name in names) if isinstance(names, list) else None


def _wrong_row(file: TableFile, row: int, column: str, received: str, expected: str) -> DatasetError:
    return DatasetError(f"{file.name}, row {row} (the first is 0): column {column} {received}. {expected}.")
