"""What columns of the source's table say of the images: a file of the dataset artifact, which only slices look at.

`dataset.py` knows nothing of it: its code is part of the key of all training.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from thaw.pipeline_config.errors import ArtifactError, DatasetError
from thaw.pipeline_config.messages import word
from thaw.tasks.ingest.dataset import IMAGES, Order, write_rows
from thaw.tasks.ingest.sorted_rows import SortedRows
from thaw.tasks.ingest.sources.base import ImageSource, RawExample, changed_meanwhile, listed
from thaw.tasks.ingest.step import COLUMNS

_MOST_VALUES = (
    100  # of a column: a measurement or a name of each image has more, and parts of an image each say nothing
)
_LISTED_VALUES = 3

Values = tuple[str, ...]  # of an image: what each column says


def check_values(source: ImageSource, columns: Sequence[str]) -> None:
    """Look through what some columns of a source's table say.

    Raises:
        DatasetError: A column is not there, cannot be written as text, or has too many values.
    """
    different: list[dict[str, None]] = [{} for _ in columns]  # in the order in which they came
    for _, values in source.values(columns) if columns else ():
        for name, value, before in zip(columns, values, different, strict=True):
            before[value] = None
            if len(before) > _MOST_VALUES:
                raise DatasetError(
                    f"Column {word(name)} has more than {_MOST_VALUES} values: {listed(list(before), _LISTED_VALUES)}. "
                    "Expected groups of images. Write a column of groups, such as 'short' and 'long' in place of "
                    "numbers, and name that one in evaluate.slices."
                )


def with_values(source: ImageSource, columns: Sequence[str]) -> Iterator[tuple[RawExample, Values]]:
    """Go through a source's examples, each with what the columns say of it.

    Raises:
        DatasetError: The table changed meanwhile.
    """
    if not columns:
        yield from ((example, ()) for example in source.examples())
        return
    for example, row in zip_longest(source.examples(), source.values(columns)):
        if example is None or row is None or example.origin != row[0]:
            raise changed_meanwhile()
        yield example, row[1]


def write_columns(folder: Path, columns: Sequence[str], rows: Iterable[tuple[Order, Values]]) -> None:
    """Write what they say of the images of a dataset beside these, and in their order, in which they need not come.

    Without columns, there is nothing to write.
    """
    if columns:
        schema = pa.schema([pa.field(name, pa.string()) for name in columns])
        write_rows(folder / COLUMNS, schema, (values for _, values in SortedRows(tuple, rows)))


def read_column(folder: Path, column: str) -> dict[str, str]:
    """Read what a column says, by the images' ids, from a dataset artifact that the store has checked.

    Raises:
        ArtifactError: The table is not what this version writes.
    """
    path = folder / COLUMNS
    try:
        ids = pq.read_table(folder / IMAGES, columns=["id"])["id"].to_pylist()
        values = pq.read_table(path, columns=[column])[column].to_pylist()
        return dict(zip(ids, values, strict=True))
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise ArtifactError(f"{path} cannot be read: {error}. Run again to rebuild it.") from error
