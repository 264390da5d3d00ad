"""The predictions table: what stands in each column, and what happens to ties and to broken numbers."""

import math

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from thaw.pipeline_config.errors import TrainingError
from thaw.tasks.evaluation.predictions import (
    SCHEMA,
    predictions_table,
    probability_matrix,
    rank_of_true_class,
    top_probability,
    write_table,
)
from thaw.tasks.training.stage_facts import LARGEST_LOSS

CLASSES = ["cat", "dog", "owl"]
IDS = ["aa", "bb", "cc"]
LABELS = np.array([0, 2, 1], np.int32)
PROBABILITIES = np.array([[0.7, 0.2, 0.1], [0.5, 0.3, 0.2], [0.25, 0.5, 0.25]], np.float32)


def test_each_row_has_the_truth_and_the_answer():
    table = predictions_table(IDS, LABELS, PROBABILITIES, CLASSES)
    assert table.schema == SCHEMA
    assert table["id"].to_pylist() == IDS
    assert table["class_name"].to_pylist() == ["cat", "owl", "dog"]
    assert table["predicted"].to_pylist() == [0, 0, 1]
    assert table["predicted_class"].to_pylist() == ["cat", "cat", "dog"]
    assert table["rank"].to_pylist() == [1, 3, 1]
    assert table["loss"].to_pylist() == pytest.approx([-math.log(0.7), -math.log(0.2), -math.log(0.5)])
    np.testing.assert_array_equal(probability_matrix(table), PROBABILITIES)


def test_of_equal_probabilities_the_first_class_is_predicted_and_the_true_one_comes_last():
    even = np.full((4, 4), 0.25, np.float32)
    assert rank_of_true_class(np.arange(4), even).tolist() == [1, 4, 4, 4]


def test_a_tie_below_the_prediction_counts_against_the_model():
    probabilities = np.array([[0.5, 0.2, 0.2, 0.1]], np.float32)
    assert rank_of_true_class(np.array([1]), probabilities).tolist() == [3]
    assert rank_of_true_class(np.array([2]), probabilities).tolist() == [3]


@pytest.mark.parametrize("probability", [0.0, np.nextafter(np.float32(0), np.float32(1))])
def test_a_true_class_without_any_probability_has_the_largest_loss(probability):
    table = predictions_table(["aa"], np.array([1]), np.array([[1.0, probability]], np.float32), ["a", "b"])
    assert table["loss"][0].as_py() == LARGEST_LOSS < 86


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_a_probability_that_is_not_finite_is_an_error_that_names_the_image(broken):
    probabilities = PROBABILITIES.copy()
    probabilities[1, 2] = broken
    with pytest.raises(TrainingError, match="test image bb"):
        predictions_table(IDS, LABELS, probabilities, CLASSES)


def test_a_probability_that_rounding_took_above_one_is_one():
    table = predictions_table(["aa"], np.array([0]), np.array([[np.nextafter(np.float32(1), 2), 0]]), ["a", "b"])
    assert top_probability(table).tolist() == [1.0]


def test_equal_tables_are_equal_bytes_and_read_back_as_they_were(tmp_path):
    for name in ("first", "second"):
        write_table(predictions_table(IDS, LABELS, PROBABILITIES, CLASSES), tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
    assert pq.read_table(tmp_path / "first").equals(predictions_table(IDS, LABELS, PROBABILITIES, CLASSES))


# Few different values, so that ties are common.
rough = st.sampled_from([np.float32(value) for value in (0, 0.1, 0.25, 0.5, 1)])


@given(
    hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=6), elements=rough), st.data()
)
def test_rank_one_means_exactly_that_the_prediction_is_right(probabilities, data):
    images, classes = probabilities.shape
    labels = np.array(data.draw(st.lists(st.integers(0, classes - 1), min_size=images, max_size=images)))
    ranks = rank_of_true_class(labels, probabilities)
    assert ((ranks == 1) == (probabilities.argmax(axis=1) == labels)).all()
    assert ((ranks >= 1) & (ranks <= classes)).all()
    more_probable = (probabilities > probabilities[np.arange(images), labels][:, None]).sum(axis=1)
    assert (ranks > more_probable).all()  # no tie is ever counted in the model's favour, beyond its prediction
