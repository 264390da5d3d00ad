"""What a records artifact holds: `index.json`, and a table per split that says what each record is, and where."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from thaw.pipeline_config.dataset_schema import SplitName
from thaw.pipeline_config.errors import ArtifactError

INDEX = "index.json"

# A TFRecord is the payload's length (8 bytes), a checksum of it (4), the payload, and a checksum of that (4).
HEADER_BYTES = 12
FOOTER_BYTES = 4

IDS = np.dtype("S32")  # of images, as bytes; compared from the first byte on, as the hexadecimal form is
# A row of a split's table: what a record is, which shard it is in, counted from 0, and where its payload is there.
ROW = np.dtype([("id", IDS), ("label", "<i4"), ("shard", "<i4"), ("offset", "<i8"), ("length", "<i8")])


class _Index(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Shard(_Index):
    """One TFRecord file, and how many records, how many bytes it has."""

    file: str
    examples: int
    bytes: int
    sha256: str


class SplitIndex(_Index):
    """One split: its shards in the order of the examples, and how many examples there are in all."""

    examples: int
    class_counts: list[int]  # by label
    shards: list[Shard]


class RecordsIndex(_Index):
    """The contents of `index.json`; class names stand at their labels."""

    classes: list[str]
    splits: dict[SplitName, SplitIndex]


def table_name(split: SplitName) -> str:
    """Name the file with the table of a split's records: see `read_table`."""
    return f"records-{split}.npy"


def shard_name(split: SplitName, number: int, of: int) -> str:
    """Name a shard of a split by its number, counted from 0, and how many there are."""
    return f"{split}-{number:05d}-of-{of:05d}.tfrecord"


def table_of_shard(shard: int, ids: NDArray[np.bytes_], labels: Sequence[int], lengths: Sequence[int]) -> NDArray[Any]:
    """Make the table of one shard's records, `ROW` (records,), from what each is and the bytes of its payload."""
    table = np.zeros(len(lengths), ROW)
    table["id"], table["label"], table["shard"], table["length"] = ids, labels, shard, lengths
    table["offset"] = np.cumsum(HEADER_BYTES + table["length"] + FOOTER_BYTES) - FOOTER_BYTES - table["length"]
    return table


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Report what the operating system refuses as an ArtifactError that names the file."""
    try:
        yield
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror or error}. Run again to rebuild it.") from error


def read_index(folder: Path) -> RecordsIndex:
    """Read the index of a records artifact, as it stands; the shards are not looked at.

    Raises:
        ArtifactError: It is missing or damaged.
    """
    path = folder / INDEX
    try:
        with reading(path):
            return RecordsIndex.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ArtifactError(f"{path} is damaged: it is not an index of records. Run again to rebuild it.") from error


def read_table(folder: Path, split: SplitName) -> NDArray[Any]:
    """Read the table of a split's records, `ROW` (examples,), in ascending order of their ids.

    Raises:
        ArtifactError: The file is missing or damaged.
    """
    path = folder / table_name(split)
    try:
        table: NDArray[Any] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ArtifactError(f"{path} cannot be read: {error}. Run again to rebuild it.") from error
    if table.dtype != ROW or table.ndim != 1:
        raise ArtifactError(f"{path} is damaged: it is not a table of records. Run again to rebuild it.")
    return table


def check_counts(folder: Path, index: RecordsIndex) -> None:
    """Compare the files with the index, because a TFRecord file that lost its end reads without an error.

    Raises:
        ArtifactError: A shard is missing or of another size, or counts do not add up; the message names the file.
    """
    for split, of_split in index.splits.items():
        _check_sum(folder / INDEX, f"examples of {split}", sum(of_split.class_counts), of_split.examples)
        _check_sum(folder / INDEX, f"classes of {split}", len(of_split.class_counts), len(index.classes))
        table = read_table(folder, split)
        _check_sum(folder / table_name(split), "examples", len(table), of_split.examples)
        for number, shard in enumerate(of_split.shards):
            _check_shard(folder / shard.file, shard, table["length"][table["shard"] == number])
        _check_sum(folder / INDEX, f"examples of {split}", sum(s.examples for s in of_split.shards), of_split.examples)


def _check_shard(path: Path, shard: Shard, lengths: NDArray[np.int64]) -> None:
    with reading(path):
        size = path.stat().st_size
    _check_sum(path, "bytes", size, shard.bytes)
    _check_sum(path, "examples", len(lengths), shard.examples)
    expected = int(lengths.sum()) + len(lengths) * (HEADER_BYTES + FOOTER_BYTES)
    _check_sum(path, "bytes", size, expected)


def _check_sum(path: Path, what: str, received: int, expected: int) -> None:
    if received != expected:
        raise ArtifactError(f"{path} has {received} {what}, expected {expected}. Run again to rebuild it.")
