"""The files of features: what is written is read, in any order, without filling the memory."""

import os
from pathlib import Path

import numpy as np
import psutil
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from thaw.pipeline_config.errors import ArtifactError
from thaw.tasks.training.features.rows import STORED, RowsFile, RowsReader, RowsWriter, RowType, decode, encode

SHAPE = (5, 3, 2)


def file_of(rows: int, row_type: RowType = "float16", shape: tuple[int, ...] = SHAPE) -> RowsFile:
    return RowsFile("rows.npy", rows, shape, STORED[row_type])


@pytest.mark.parametrize("row_type", ["float32", "float16", "bfloat16"])
def test_rows_come_back_in_any_order(tmp_path: Path, row_type: RowType) -> None:
    rows = np.random.default_rng(0).normal(size=(11, *SHAPE)).astype(np.float32)
    file, expected = file_of(11, row_type), encode(rows, row_type)
    with RowsWriter(tmp_path, file) as writer:
        writer.write(expected[:4])
        writer.write(expected[4:])
    np.testing.assert_array_equal(np.load(tmp_path / file.name), expected)  # an ordinary .npy file
    reader = RowsReader(tmp_path, file)
    np.testing.assert_array_equal(reader.read([10, 0, 3, 3]), expected[[10, 0, 3, 3]])
    with pytest.raises(IndexError):
        reader.read([11])
    reader.close()


@given(st.lists(st.floats(-(2.0**127), 2.0**127, width=32)))
def test_bfloat16_is_rounded_as_tensorflow_does(numbers: list[float]) -> None:
    array = np.asarray(numbers, np.float32)
    expected = tf.bitcast(tf.cast(tf.constant(array), tf.bfloat16), tf.uint16).numpy()
    np.testing.assert_array_equal(encode(array, "bfloat16"), expected)
    back = tf.cast(tf.bitcast(tf.constant(expected), tf.bfloat16), tf.float32).numpy()
    np.testing.assert_array_equal(decode(encode(array, "bfloat16"), "bfloat16"), back)


def test_a_file_that_ends_early_and_one_of_another_form_are_refused(tmp_path: Path) -> None:
    with RowsWriter(tmp_path, file_of(3)) as writer:
        writer.write(np.zeros((2, *SHAPE), np.float16))
    reader = RowsReader(tmp_path, file_of(3))
    with pytest.raises(ArtifactError, match=r"rows\.npy ends in row 2"):
        reader.read([2])
    reader.close()
    with pytest.raises(ArtifactError, match="holds other rows"):
        RowsReader(tmp_path, file_of(4))
    with pytest.raises(ArtifactError, match="cannot be read"):
        RowsReader(tmp_path / "absent", file_of(4))


def test_reading_all_of_a_large_file_takes_no_more_memory_than_a_batch(tmp_path: Path) -> None:
    rows = 4000
    file, path = file_of(rows, shape=(64, 1024)), tmp_path / "rows.npy"  # 512 MB; the disk holds next to nothing of it
    with RowsWriter(tmp_path, file):
        pass
    os.truncate(path, path.stat().st_size + rows * 64 * 1024 * 2)
    reader = RowsReader(tmp_path, file)
    before = psutil.Process().memory_info().rss
    most = 0
    for first in range(0, rows, 32):
        reader.read(np.arange(first, first + 32))
        most = max(most, psutil.Process().memory_info().rss - before)
    reader.close()
    assert most < 32 * 2**20
