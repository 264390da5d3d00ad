"""What a records artifact holds: `index.json`, and an array per split that says where each record is."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from thaw.pipeline_config.dataset_schema import SplitName
from thaw.pipeline_config.errors import ArtifactError

INDEX = "index.json"

# A TFRecord is the payload's length (8 bytes), a checksum of it (4), the payload, and a checksum of that (4).
HEADER_BYTES = 12
FOOTER_BYTES = 4


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


def offsets_name(split: SplitName) -> str:
    """Name the file with the places of a split's records: see `read_offsets`."""
    return f"offsets-{split}.npy"


def shard_name(split: SplitName, number: int, of: int) -> str:
    """Name a shard of a split by its number, counted from 0, and how many there are."""
    return f"{split}-{number:05d}-of-{of:05d}.tfrecord"


def payload_places(shard: int, lengths: list[int]) -> NDArray[np.int64]:
    """Work out where the records of one shard are, from the bytes of each one's payload.

    Returns:
        int64 (records, 3): shard, offset of the payload, length of the payload.
    """
    length = np.array(lengths, dtype=np.int64)
    end = np.cumsum(HEADER_BYTES + length + FOOTER_BYTES)
    return np.stack([np.full_like(length, shard), end - FOOTER_BYTES - length, length], axis=1)


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


def read_offsets(folder: Path, split: SplitName) -> NDArray[np.int64]:
    """Read where a split's records are.

    Returns:
        int64 (examples, 3): shard, offset of the payload in it, length of the payload.

    Raises:
        ArtifactError: The file is missing or damaged.
    """
    path = folder / offsets_name(split)
    try:
        places = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ArtifactError(f"{path} cannot be read: {error}. Run again to rebuild it.") from error
    if places.dtype != np.int64 or places.ndim != 2 or places.shape[1] != 3:
        raise ArtifactError(
            f"{path} is damaged: expected int64 (examples, 3), received {places.dtype} {places.shape}. "
            "Run again to rebuild it."
        )
    return np.asarray(places, dtype=np.int64)


def check_counts(folder: Path, index: RecordsIndex) -> None:
    """Compare the files with the index, because a TFRecord file that lost its end reads without an error.

    Raises:
        ArtifactError: A shard is missing or of another size, or counts do not add up; the message names the file.
    """
    for split, of_split in index.splits.items():
        _check_sum(folder / INDEX, f"examples of {split}", sum(of_split.class_counts), of_split.examples)
        _check_sum(folder / INDEX, f"classes of {split}", len(of_split.class_counts), len(index.classes))
        places = read_offsets(folder, split)
        _check_sum(folder / offsets_name(split), "examples", len(places), of_split.examples)
        for number, shard in enumerate(of_split.shards):
            _check_shard(folder / shard.file, shard, places[places[:, 0] == number])
        _check_sum(folder / INDEX, f"examples of {split}", sum(s.examples for s in of_split.shards), of_split.examples)


def _check_shard(path: Path, shard: Shard, places: NDArray[np.int64]) -> None:
    with reading(path):
        size = path.stat().st_size
    _check_sum(path, "bytes", size, shard.bytes)
    _check_sum(path, "examples", len(places), shard.examples)
    expected = int(places[:, 2].sum()) + len(places) * (HEADER_BYTES + FOOTER_BYTES)
    _check_sum(path, "bytes", size, expected)


def _check_sum(path: Path, what: str, received: int, expected: int) -> None:
    if received != expected:
        raise ArtifactError(f"{path} has {received} {what}, expected {expected}. Run again to rebuild it.")
