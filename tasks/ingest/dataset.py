"""The dataset artifact: `images.parquet`, a row per image, and `dataset.json`, what is true of all of them."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice, starmap
from operator import attrgetter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from thaw.pipeline_config.dataset_schema import SPLITS, SplitName
from thaw.pipeline_config.errors import ArtifactError
from thaw.pipeline_config.messages import word
from thaw.tasks.artifacts.refusals import writing
from thaw.tasks.artifacts.store import write_json
from thaw.tasks.ingest.sorted_rows import SortedRows

IMAGES = "images.parquet"
SUMMARY = "dataset.json"

Counts = dict[SplitName, dict[str, int]]
Order = tuple[int, int, str]

_ROWS_IN_A_GROUP = 1 << 16  # of a Parquet file: so much of one is in memory when it is written
_ROWS_IN_A_BATCH = 1 << 12  # of that, so much as Python's objects, which take several times the room

_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("label", pa.int32(), nullable=False),
        pa.field("class_name", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("format", pa.string(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("origin", pa.string(), nullable=False),
        pa.field("brightness", pa.float32(), nullable=False),
    ]
)


@dataclass(frozen=True, slots=True)
class DatasetImage:
    """One row of the table.

    Attributes:
        id: SHA-256 of the encoded bytes, in hexadecimal.
        label: Index of the class.
        class_name: Name of the class.
        split: "train", "validation" or "test".
        width: Pixels, after EXIF's orientation has been applied.
        height: Pixels, after EXIF's orientation has been applied.
        format: Such as "JPEG", by the file's content.
        bytes: Size of the encoded image.
        origin: Where it is in the source.
        brightness: Mean of all values of its pixels, 0 to 255.
    """

    id: str
    label: int
    class_name: str
    split: SplitName
    width: int
    height: int
    format: str
    bytes: int
    origin: str
    brightness: float


@dataclass(frozen=True, slots=True)
class UnreadableImage:
    """An image that cannot be used, and what is wrong with it, in a few words."""

    origin: str
    reason: str

    def __str__(self) -> str:
        """Name it, with the reason, on one line."""
        return f"{word(self.origin)} ({self.reason})"


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset artifact that has been read.

    Attributes:
        classes: Class names, by label.
        images: The rows of the table, in its order: by split (train, validation, test), then label, then id.
    """

    classes: list[str]
    images: list[DatasetImage]


def count_images(classes: Sequence[str], images: Iterable[DatasetImage]) -> Counts:
    """Count images for every split and every class, 0 included."""
    counts: Counts = {split: dict.fromkeys(classes, 0) for split in SPLITS}
    for image in images:
        counts[image.split][image.class_name] += 1
    return counts


def order_of(image: DatasetImage) -> Order:
    """Give what the rows of the table are ordered by."""
    return SPLITS.index(image.split), image.label, image.id


def write_dataset(
    folder: Path,
    classes: Sequence[str],
    images: Iterable[DatasetImage],
    *,
    duplicates: int,
    unreadable: Sequence[UnreadableImage],
) -> Counts:
    """Write the artifact's files, and count its images; the same ones, in any order, give the same bytes.

    What was left out: `duplicates` is the number of files of which another has the same content.
    """
    ordered = SortedRows(tuple, map(attrgetter(*_SCHEMA.names), images), key=lambda row: order_of(DatasetImage(*row)))
    write_rows(folder / IMAGES, _SCHEMA, ordered)
    counts = count_images(classes, starmap(DatasetImage, ordered))
    summary = {
        "classes": list(classes),
        "counts": counts,
        "duplicates": duplicates,
        "unreadable": [asdict(image) for image in unreadable],
    }
    write_json(folder / SUMMARY, summary)
    return counts


def write_rows(path: Path, schema: pa.Schema, rows: Iterable[Sequence[Any]]) -> None:
    """Write a Parquet file, a part at a time, however many rows there are."""
    batches = _batches(schema, iter(rows))
    with writing(path), pq.ParquetWriter(path, schema, compression="zstd") as writer:
        while group := list(islice(batches, _ROWS_IN_A_GROUP // _ROWS_IN_A_BATCH)):
            writer.write_table(pa.Table.from_batches(group))


def _batches(schema: pa.Schema, rows: Iterator[Sequence[Any]]) -> Iterator[pa.RecordBatch]:
    while some := list(islice(rows, _ROWS_IN_A_BATCH)):
        columns = zip(schema.types, zip(*some, strict=True), strict=True)
        yield pa.record_batch([pa.array(cells, kind) for kind, cells in columns], schema=schema)


def read_classes(folder: Path) -> list[str]:
    """Read the names of the classes, by label, of an artifact that the store has checked.

    Raises:
        ArtifactError: The file is not what this version writes.
    """
    try:
        classes: list[str] = json.loads((folder / SUMMARY).read_bytes())["classes"]
    except (OSError, ValueError, KeyError) as error:
        raise ArtifactError(f"{folder} is not a dataset: {error}. Run again to rebuild it.") from error
    return classes


def read_dataset(folder: Path) -> Dataset:
    """Read an artifact that the store has checked.

    Raises:
        ArtifactError: A file is not what this version writes.
    """
    try:
        table = pq.read_table(folder / IMAGES, schema=_SCHEMA)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise ArtifactError(f"{folder} is not a dataset: {error}. Run again to rebuild it.") from error
    columns = (table[name].to_pylist() for name in _SCHEMA.names)
    return Dataset(read_classes(folder), [DatasetImage(*row) for row in zip(*columns, strict=True)])


def training_rows(folder: Path, columns: Sequence[str]) -> pa.Table:
    """Read some columns of all images of an artifact that a model learns from: those for training and validation.

    Raises:
        ArtifactError: The table does not have them.
    """
    path = folder / IMAGES
    try:
        return pq.read_table(path, columns=[*columns], filters=[("split", "!=", "test")])
    except (OSError, ValueError, pa.ArrowException) as error:
        raise ArtifactError(f"{path} cannot be read: {error}. Run again to rebuild it.") from error
