"""What columns of the source's table say of the images: a file of the dataset artifact, which only slices look at.

`dataset.py` knows nothing of it: its code is part of the key of all training.
"""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from thaw.pipeline_config.errors import ArtifactError, DatasetError
from thaw.pipeline_config.messages import word
from thaw.tasks.artifacts.refusals import writing
from thaw.tasks.ingest.dataset import IMAGES
from thaw.tasks.ingest.sources.base import ImageSource, listed
from thaw.tasks.ingest.step import COLUMNS

_MOST_VALUES = (
    100  # of a column: a measurement or a name of each image has more, and parts of an image each say nothing
)
_LISTED_VALUES = 3

Values = dict[str, tuple[str, ...]]


def read_values(source: ImageSource, columns: Sequence[str]) -> Values:
    """Read from a source what some columns of its table say, by the origins of the images.

    Raises:
        DatasetError: A column is not there, cannot be written as text, or has too many values.
    """
    found: Values = {}
    same: dict[tuple[str, ...], tuple[str, ...]] = {}  # there are few, so that each is kept once
    different: list[dict[str, None]] = [{} for _ in columns]  # in the order in which they came
    for origin, values in source.values(columns) if columns else ():
        found[origin] = same.setdefault(values, values)
        for name, value, before in zip(columns, values, different, strict=True):
            before[value] = None
            if len(before) > _MOST_VALUES:
                raise DatasetError(
                    f"Column {word(name)} has more than {_MOST_VALUES} values: {listed(list(before), _LISTED_VALUES)}. "
                    "Expected groups of images. Write a column of groups, such as 'short' and 'long' in place of "
                    "numbers, and name that one in evaluate.slices."
                )
    return found


def write_columns(folder: Path, columns: Sequence[str], values: Values) -> None:
    """Write them beside the images of a dataset, in their order. Of equal files, that counts which the dataset names.

    Without columns, there is nothing to write.
    """
    if not columns:
        return
    rows = [values[origin] for origin in pq.read_table(folder / IMAGES, columns=["origin"])["origin"].to_pylist()]
    table = {name: pa.array(cells, pa.string()) for name, cells in zip(columns, zip(*rows, strict=True), strict=True)}
    with writing(folder / COLUMNS):
        pq.write_table(pa.table(table), folder / COLUMNS, compression="zstd")


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
