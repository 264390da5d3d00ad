"""Read the records of one split by index: any record at any time, from any thread."""

import os
import threading
import weakref
from pathlib import Path
from typing import Self

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from thaw.pipeline_config.dataset_schema import SplitName
from thaw.pipeline_config.errors import ArtifactError
from thaw.tasks.records.ids import numbers_of
from thaw.tasks.records.index import Shard, check_counts, read_index, read_table, reading

__all__ = ["SplitReader", "check_counts", "read_index"]

_FEATURES = {
    "image": tf.io.FixedLenFeature([], tf.string),
    "label": tf.io.FixedLenFeature([], tf.int64),
    "id": tf.io.FixedLenFeature([], tf.string),
}
# Shards stay open, but no more than this, and further ones are opened at each read: by default a process may open 256
# files on macOS, 1,024 on Linux.
_MOST_OPEN_SHARDS = 64


class SplitReader:
    """The records of one split, by index.

    A record is read at its place in its shard, without a buffer and without a shared position, so that any number of
    threads may read at once. Close the reader, or use it in a `with` statement, when nothing reads any more; else its
    shards stay open for as long as something refers to it, such as a dataset. `ids` (see ids.py), `labels` and
    `numbers` say which image each record is.
    """

    def __init__(self, folder: Path, split: SplitName) -> None:
        """Check the counts of a records artifact; shards are opened when they are first read.

        Raises:
            ArtifactError: The files and the index do not agree; the message names the file.
        """
        index = read_index(folder)
        check_counts(folder, index)
        if split not in index.splits:
            raise ArtifactError(f"{folder} has no split {split}. Expected one of {', '.join(index.splits)}.")
        self.classes: list[str] = index.classes
        self.class_counts: list[int] = index.splits[split].class_counts
        self.examples: int = index.splits[split].examples
        self._folder = folder
        self._shards: list[Shard] = index.splits[split].shards
        self._table = read_table(folder, split)
        self.ids: NDArray[np.bytes_] = self._table["id"].copy()
        self.labels: NDArray[np.int32] = self._table["label"].copy()
        self.numbers: NDArray[np.int64] = numbers_of(self.ids)
        self._descriptors: dict[int, int] = {}
        weakref.finalize(self, _close_all, self._descriptors)
        self._lock = threading.Lock()
        self._is_closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the shards; a read after this is an error."""
        with self._lock:
            self._is_closed = True
            _close_all(self._descriptors)

    def read(self, index: int) -> bytes:
        """Read one record, counted from 0: a serialized tf.train.Example.

        Raises:
            IndexError: There is no such record.
            ArtifactError: The shard cannot be read, or ends too early.
        """
        if not 0 <= index < self.examples:
            raise IndexError(f"Record {index} was asked for; there are {self.examples}.")
        _, _, shard, offset, length = self._table[index].item()
        path = self._folder / self._shards[shard].file
        with reading(path):
            payload = self._read_at(shard, path, offset, length)
        if len(payload) != length:
            raise ArtifactError(
                f"{path} ends too early: record {index} has {len(payload)} of {length} bytes. Run again to rebuild it."
            )
        return payload

    def tensor_example(self, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Read one record inside `tf.data.Dataset.map`, by its index, int64 ().

        Returns:
            The encoded image, string (); the label, int32 (); the id, string (), 64 hexadecimal characters.
        """
        # Stateless, because it is: stateful maps run one call at a time under deterministic operations.
        payload = tf.numpy_function(self.read, [index], tf.string, stateful=False)
        parsed = tf.io.parse_single_example(tf.ensure_shape(payload, []), _FEATURES)
        return parsed["image"], tf.cast(parsed["label"], tf.int32), parsed["id"]

    def _read_at(self, shard: int, path: Path, offset: int, length: int) -> bytes:
        with self._lock:
            if self._is_closed:
                raise ArtifactError(f"{self._folder} was read after its reader was closed.")
            descriptor = self._descriptors.get(shard)
            if descriptor is None and len(self._descriptors) < _MOST_OPEN_SHARDS:
                descriptor = self._descriptors[shard] = os.open(path, os.O_RDONLY)
        if descriptor is not None:
            return os.pread(descriptor, length, offset)
        with path.open("rb", buffering=0) as file:
            return os.pread(file.fileno(), length, offset)


def _close_all(descriptors: dict[int, int]) -> None:
    while descriptors:
        os.close(descriptors.popitem()[1])
