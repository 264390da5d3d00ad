"""What each stage earned: a case worked by hand, and what holds for any."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thaw.tasks.evaluation.earned import STAGE_ONE, STAGE_ONE_AT_STAGE_TWO, STAGE_TWO, Gain, StagesTested
from thaw.tasks.evaluation.predictions import predictions_table


def table_of(right):
    """The answers of a model for two classes, by whether they are right."""
    labels = np.arange(len(right)) % 2
    predicted = np.where(right, labels, 1 - labels)
    ids = [f"{number:064x}" for number in range(len(right))]
    return predictions_table(ids, labels, np.eye(2, dtype=np.float32)[predicted], ["cat", "dog"])


def stages_of(one, between, two, resolutions=(128, 160)):
    tables = {STAGE_ONE: one, STAGE_ONE_AT_STAGE_TWO: between, STAGE_TWO: two}
    sizes = dict(zip(tables, (resolutions[0], resolutions[1], resolutions[1]), strict=True))
    return StagesTested.of({name: table_of(right) for name, right in tables.items()}, sizes, 0.95)


def test_resolution_and_training_are_told_apart_in_a_sentence():
    found = stages_of([True] * 6 + [False] * 4, [True] * 7 + [False] * 3, [False] + [True] * 9)
    assert (found.resolution_earned.gained, found.resolution_earned.lost) == (1, 0)
    assert (found.training_earned.gained, found.training_earned.lost) == (3, 1)
    assert found.training_earned.difference == pytest.approx(0.2)
    assert found.sentence == (
        "Stage two earned +30.0 points (-12.4 to +62.4), +10.0 by its resolution and +20.0 by its training: test "
        "accuracy 0.6000 by stage one at 128 px, 0.7000 by its weights at 160 px, 0.9000 by stage two. "
        "The interval holds 0: no gain is shown."
    )


def test_where_both_stages_see_the_same_nothing_stands_between_them():
    found = stages_of([True, False], [True, False], [True, True], (160, 160))
    assert [name for name, _, _ in found.steps] == ["stage one", "stage two"]
    assert "by its weights" not in found.sentence


@pytest.mark.parametrize(
    ("ends", "words"), [((0.01, 0.1), "A gain is shown."), ((-0.1, -0.01), "A loss is shown."), ((0.0, 0.1), "no gain")]
)
def test_only_an_interval_without_zero_shows_something(ends, words):
    assert words in Gain(gained=1, lost=1, difference=sum(ends) / 2, difference_ci=ends).conclusion


answers = st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=40)


@given(answers)
def test_the_gains_add_up_to_the_whole_difference_and_lie_in_their_intervals(rows):
    one, between, two = (list(column) for column in zip(*rows, strict=True))
    found = stages_of(one, between, two)
    assert found.stage_two.accuracy - found.stage_one.accuracy == pytest.approx(
        found.resolution_earned.difference + found.training_earned.difference
    )
    for name, right in ((STAGE_ONE, one), (STAGE_ONE_AT_STAGE_TWO, between), (STAGE_TWO, two)):
        assert getattr(found, name).correct == sum(right)
    assert found.earned.difference == pytest.approx(found.stage_two.accuracy - found.stage_one.accuracy)
    for gain in (found.earned, found.resolution_earned, found.training_earned):
        low, high = gain.difference_ci
        assert -1 <= low < high <= 1


@given(answers)
def test_the_same_answers_earn_nothing(rows):
    right = [row[0] for row in rows]
    found = stages_of(right, right, right)
    assert (found.training_earned.gained, found.training_earned.lost) == (0, 0)
    low, high = found.training_earned.difference_ci
    assert low == pytest.approx(-high)
