"""Both stages' histories as one table and as curves."""

import math

import pyarrow as pa

from tests.report.synthetic import make_histories
from thaw.tasks.report.history import learning_curves


def test_epochs_count_on_and_stage_two_begins_with_its_value_before_the_first_step():
    one, two = learning_curves(make_histories(), "accuracy")  # of four epochs, and of three
    assert (one.stage, one.start, two.stage, two.start) == ("stage_one", 0, "stage_two", 4)
    assert [epoch for epoch, _ in one.validation] == [0, 1, 2, 3, 4]
    assert [epoch for epoch, _ in one.training] == [1, 2, 3, 4]
    assert [epoch for epoch, _ in two.validation] == [4, 5, 6, 7]
    assert [epoch for epoch, _ in two.training] == [5, 6, 7]
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
