"""The metrics, checked by hand on small tables and by their properties on made-up ones."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.report.synthetic import make_table
from thaw.pipeline_config.errors import DatasetError
from thaw.tasks.artifacts.store import write_json
from thaw.tasks.evaluation.intervals import wilson_interval
from thaw.tasks.evaluation.metrics import calibration, compute_metrics, expected_calibration_error
from thaw.tasks.evaluation.predictions import predictions_table, probability_matrix


def table_of(labels, probabilities):
    classes = [f"class {number}" for number in range(len(probabilities[0]))]
    ids = [f"{row:064x}" for row in range(len(labels))]
    table = predictions_table(ids, np.array(labels, np.int32), np.array(probabilities, np.float32), classes)
    return table, classes


def test_a_small_case_worked_by_hand():
    table, classes = table_of([0, 0, 1, 1], [[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.3, 0.7]])
    test = compute_metrics(table, classes, 0.95)["test"]
    assert (test["examples"], test["correct"], test["accuracy"]) == (4, 3, 0.75)
    assert test["confusion_matrix"] == {"classes": classes, "matrix": [[1, 1], [0, 2]]}
    assert test["per_class"][0] == {
        "class": "class 0",
        "examples": 2,
        "precision": 1.0,
        "recall": 0.5,
        "f1": pytest.approx(2 / 3),
    }
    assert test["per_class"][1]["precision"] == pytest.approx(2 / 3)
    assert test["macro_f1"] == pytest.approx((2 / 3 + 0.8) / 2)
    assert test["loss"] == pytest.approx(-np.log([0.9, 0.2, 0.6, 0.7]).mean(), rel=1e-6)
    # Each answer is alone in its bin: the gaps are 0.1 (right at 0.9), 0.8 (wrong at 0.8), 0.4 and 0.3.
    assert test["expected_calibration_error"] == pytest.approx((0.1 + 0.8 + 0.4 + 0.3) / 4, abs=1e-6)


def test_what_the_model_was_without_its_temperature_follows_from_its_probabilities():
    classes = ["a", "b", "c"]
    plain = make_table(classes)
    softer = probability_matrix(plain) ** 0.5
    labels = plain["label"].to_numpy()
    table = predictions_table(plain["id"].to_pylist(), labels, softer / softer.sum(axis=1, keepdims=True), classes)
    before = compute_metrics(plain, classes, 0.95)["test"]
    after = compute_metrics(table, classes, 0.95, temperature=2.0)["test"]
    found = after["uncalibrated"]
    assert found["loss"] == pytest.approx(before["loss"], abs=1e-6)
    assert found["loss"] != pytest.approx(after["loss"], abs=1e-3)
    assert found["expected_calibration_error"] == pytest.approx(before["expected_calibration_error"], abs=1e-6)
    assert found["expected_calibration_error"] != pytest.approx(after["expected_calibration_error"], abs=1e-3)


def test_wilson_interval_of_a_known_case():
    # Newcombe 1998, table I: 81 of 263 at 95 % is 0.2553 to 0.3662.
    assert wilson_interval(81, 263, 0.95) == pytest.approx([0.2553, 0.3662], abs=5e-5)


def test_perfect_and_hopeless_results_have_an_interval_of_some_width():
    low, high = wilson_interval(20, 20, 0.95)
    assert (low < 0.9, high) == (True, 1.0)
    low, high = wilson_interval(0, 20, 0.95)
    assert (low, high > 0.1) == (0.0, True)


@pytest.mark.parametrize(("classes", "expected"), [(5, False), (6, True)])
def test_top_five_accuracy_is_there_only_for_more_than_five_classes(classes, expected):
    names = [str(number) for number in range(classes)]
    assert ("top_5_accuracy" in compute_metrics(make_table(names), names, 0.95)["test"]) is expected


def test_top_five_counts_the_fifth_place_and_not_the_sixth():
    falling = [0.3, 0.2, 0.15, 0.12, 0.11, 0.07, 0.05]
    table, classes = table_of([4, 5], [falling, falling])
    assert compute_metrics(table, classes, 0.95)["test"]["top_5_accuracy"] == 0.5


def test_a_class_without_test_images_is_listed_and_spoils_no_mean():
    table, classes = table_of([0, 1], [[0.9, 0.05, 0.05], [0.1, 0.8, 0.1]])
    test = compute_metrics(table, classes, 0.95)["test"]
    assert test["per_class"][2] == {"class": "class 2", "examples": 0, "precision": 0, "recall": 0, "f1": 0}
    assert test["macro_f1"] == 1.0
    assert test["confusion_matrix"]["matrix"][2] == [0, 0, 0]


def test_no_test_images_is_an_error():
    with pytest.raises(DatasetError, match="test split has no images"):
        compute_metrics(make_table(["a", "b"]).slice(0, 0), ["a", "b"], 0.95)


def test_a_probability_on_the_edge_of_two_bins_belongs_to_the_lower():
    bins = calibration(np.array([1 / 15, 0.0, 1.0]), np.array([True, False, True]), 0.95)
    assert [one["examples"] for one in bins] == [2, *[0] * 13, 1]
    assert bins[5] == {
        "low": 5 / 15,
        "high": 6 / 15,
        "examples": 0,
        "confidence": None,
        "accuracy": None,
        "accuracy_ci": None,
    }


def test_the_document_is_json_and_the_same_bytes_each_time(tmp_path):
    names = [str(number) for number in range(7)]
    for name in ("first.json", "second.json"):
        write_json(tmp_path / name, compute_metrics(make_table(names), names, 0.95))
    assert (tmp_path / "first.json").read_bytes() == (tmp_path / "second.json").read_bytes()
    assert json.loads((tmp_path / "first.json").read_text()) == compute_metrics(make_table(names), names, 0.95)


@given(st.integers(1, 5000), st.floats(0, 1), st.sampled_from([0.8, 0.95, 0.99]))
def test_the_interval_holds_the_point_and_shrinks_with_more_images(trials, share, confidence):
    successes = round(share * trials)
    low, high = wilson_interval(successes, trials, confidence)
    assert 0 <= low <= successes / trials <= high <= 1
    wider = wilson_interval(successes, trials, 0.999)
    assert wider[1] - wider[0] > high - low
    more = wilson_interval(4 * successes, 4 * trials, confidence)
    assert more[1] - more[0] < high - low


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40))
def test_calibration_counts_every_image_once_and_its_error_is_between_zero_and_one(answers):
    top, correct = (np.array(column) for column in zip(*answers, strict=True))
    bins = calibration(top, correct.astype(bool), 0.95)
    assert sum(one["examples"] for one in bins) == len(answers)
    assert 0 <= expected_calibration_error(bins) <= 1
    # Whole-sample miscalibration is a lower bound of the binned one (triangle inequality).
    assert expected_calibration_error(bins) >= abs(top.mean() - correct.mean()) - 1e-9


@given(st.integers(2, 9), st.integers(1, 60), st.floats(0, 6), st.integers(0, 2**31))
def test_the_numbers_of_one_document_agree_with_each_other(classes, examples, noise, seed):
    names = [str(number) for number in range(classes)]
    table = make_table(names, examples, noise, seed)
    test = compute_metrics(table, names, 0.95)["test"]
    matrix = np.array(test["confusion_matrix"]["matrix"])
    assert matrix.sum() == test["examples"] == examples
    assert matrix.trace() == test["correct"]
    assert matrix.sum(axis=1).tolist() == [score["examples"] for score in test["per_class"]]
    assert test["accuracy"] == (table["rank"].to_numpy() == 1).mean()
    assert test.get("top_5_accuracy", 1) >= test["accuracy"]
    assert test["accuracy_ci"][0] <= test["accuracy"] <= test["accuracy_ci"][1]
    weighted_recall = sum(score["recall"] * score["examples"] for score in test["per_class"])
    assert weighted_recall == pytest.approx(test["correct"])
