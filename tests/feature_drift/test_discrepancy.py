"""The kernel two-sample test by itself: its estimate, its p value, and what it sees."""

from itertools import combinations, product
from math import exp
from statistics import median

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from thaw.tasks.feature_drift.discrepancy import maximum_mean_discrepancy

SAMPLES = 100


def slow_estimate(before: np.ndarray, now: np.ndarray) -> float:
    """As Gretton et al. write it down (their equation 3), with a kernel that is computed pair by pair."""

    def squared(one: np.ndarray, other: np.ndarray) -> float:
        return float(sum((float(a) - float(b)) ** 2 for a, b in zip(one, other, strict=True)))

    distances = [squared(*pair) for pair in combinations([*before, *now], 2)]
    width = median(distances) or sum(distances) / len(distances)

    def kernel(one: np.ndarray, other: np.ndarray) -> float:
        return exp(-squared(one, other) / (2 * width)) if width else 1.0

    def within(sample: np.ndarray) -> float:
        each = [kernel(*pair) for pair in combinations(sample, 2)]
        return sum(each) / len(each)

    between = [kernel(*pair) for pair in product(before, now)]
    return within(before) + within(now) - 2 * sum(between) / len(between)


whole_numbers = st.integers(-5, 5).map(float)


def samples(dimensions: int):
    sizes = st.integers(2, 8)
    return sizes.flatmap(lambda size: arrays(np.float32, (size, dimensions), elements=whole_numbers))


@given(st.integers(1, 4).flatmap(lambda dimensions: st.tuples(samples(dimensions), samples(dimensions))))
def test_the_estimate_is_that_of_the_plain_formula_and_the_p_value_a_share(pair):
    statistic, p_value = maximum_mean_discrepancy(*pair)
    assert statistic == pytest.approx(slow_estimate(*pair), abs=1e-6)
    assert 0 < p_value <= 1
    assert maximum_mean_discrepancy(*pair) == (statistic, p_value)
    assert maximum_mean_discrepancy(*pair[::-1])[0] == pytest.approx(statistic, abs=1e-8)


def test_no_unit_and_no_offset_matters():
    random = np.random.default_rng(0)
    before, now = random.normal(size=(40, 5)), random.normal(0.3, 1, (30, 5))
    statistic, p_value = maximum_mean_discrepancy(before, now)
    other, other_p_value = maximum_mean_discrepancy(before * 1000 + 7, now * 1000 + 7)
    assert other == pytest.approx(statistic, abs=1e-8)
    assert other_p_value == p_value


def test_where_all_are_equal_nothing_differs():
    assert maximum_mean_discrepancy(np.ones((30, 4)), np.ones((20, 4))) == (0.0, 1.0)


def test_where_most_are_equal_the_others_still_count():
    before, now = np.full((30, 3), 0.1), np.full((20, 3), 0.1)
    now[:8] += np.random.default_rng(0).normal(size=(8, 3))
    statistic, p_value = maximum_mean_discrepancy(before, now)
    assert statistic == pytest.approx(slow_estimate(before, now), abs=1e-6)
    assert p_value < 0.01


def test_what_is_wholly_another_has_the_smallest_p_value_that_a_recipe_can_ask_for():
    before, now = np.zeros((30, 2)), np.ones((20, 2))
    statistic, p_value = maximum_mean_discrepancy(before, now)
    assert statistic > 0.5
    assert p_value <= (1 - 0.998) / 4


def share_at_most(level: float, shift: float = 0.0, scale: float = 1.0) -> float:
    """Of pairs of samples in 16 dimensions that depend on each other: the share whose p value is at most the level."""
    random = np.random.default_rng(1)
    mixing = random.normal(size=(16, 16))

    def draw(count: int) -> np.ndarray:
        return np.maximum(random.normal(size=(count, 16)) @ mixing, 0)

    pairs = [(draw(60), draw(25) * scale + shift) for _ in range(SAMPLES)]
    return sum(maximum_mean_discrepancy(*pair)[1] <= level for pair in pairs) / SAMPLES


def test_without_a_difference_a_p_value_is_as_small_as_the_level_no_more_often_than_that():
    share = share_at_most(0.05)
    assert share <= 0.05 + 3 * (0.05 * 0.95 / SAMPLES) ** 0.5
    assert share >= 0.02  # it is a test, and not one that never says anything


@pytest.mark.parametrize("difference", [{"shift": 2.0}, {"scale": 2.0}], ids=["moved", "more spread out"])
def test_a_difference_is_seen(difference):
    assert share_at_most(0.0025, **difference) >= 0.9
