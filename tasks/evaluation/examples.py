"""Single images of the records, as their files are."""

from dataclasses import dataclass

import tensorflow as tf

from thaw.tasks.records.read import SplitReader


@dataclass(frozen=True)
class Example:
    """One image of the records. `encoded` is its file; `id` the SHA-256 of the source's, in hexadecimal."""

    id: str
    label: int
    encoded: bytes


def read_example(reader: SplitReader, index: int) -> Example:
    """Read one image of a split, counted from 0, without decoding it."""
    features = tf.train.Example.FromString(reader.read(index)).features.feature
    return Example(
        id=features["id"].bytes_list.value[0].decode(),
        label=features["label"].int64_list.value[0],
        encoded=features["image"].bytes_list.value[0],
    )
