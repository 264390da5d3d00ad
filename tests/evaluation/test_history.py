"""Both stages' histories as one table and as curves."""

import math

import pyarrow as pa

from tests.evaluation.synthetic import write_history
from thaw.tasks.evaluation.history import learning_curves, read_histories


def test_the_stages_stand_below_each_other_under_their_names(tmp_path):
    table = read_histories(
        {"stage_one": write_history(tmp_path / "1", 2, 0.5), "stage_two": write_history(tmp_path / "2", 1, 0.8)}
    )
    assert table.column_names[0] == "stage"
    assert table["stage"].to_pylist() == ["stage_one"] * 3 + ["stage_two"] * 2
    assert table["epoch"].to_pylist() == [0, 1, 2, 0, 1]


def test_epochs_count_on_and_stage_two_begins_with_its_value_before_the_first_step(tmp_path):
    folders = {"stage_one": write_history(tmp_path / "1", 3, 0.5), "stage_two": write_history(tmp_path / "2", 2, 0.8)}
    one, two = learning_curves(read_histories(folders), "accuracy")
    assert (one.stage, one.start, two.stage, two.start) == ("stage_one", 0, "stage_two", 3)
    assert [epoch for epoch, _ in one.validation] == [0, 1, 2, 3]
    assert [epoch for epoch, _ in one.training] == [1, 2, 3]
    assert [epoch for epoch, _ in two.validation] == [3, 4, 5]
    assert [epoch for epoch, _ in two.training] == [4, 5]
    assert two.validation[0][1] == 0.8


def test_a_value_that_is_not_finite_has_no_point():
    history = pa.table(
        {
            "stage": ["stage_one"] * 3,
            "epoch": [0, 1, 2],
            "loss": [None, math.inf, 0.5],
            "val_loss": [1.0, math.nan, 0.4],
        }
    )
    (curve,) = learning_curves(history, "loss")
    assert curve.training == [(2, 0.5)]
    assert curve.validation == [(0, 1.0), (2, 0.4)]
