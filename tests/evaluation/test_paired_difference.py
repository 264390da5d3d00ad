"""The interval of a difference: cases worked by hand, its properties, and how often it holds the truth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import norm

from thaw.tasks.evaluation.paired_difference import Difference, paired_difference

SHAPES = st.tuples(st.integers(1, 4), st.integers(1, 30))


@st.composite
def pairs(draw):
    shape = draw(SHAPES)
    return draw(arrays(bool, shape)), draw(arrays(bool, shape))


def one_seed(wins, losses, images):
    """One is right where the other is wrong on so many images; both are right on the others."""
    first, second = np.ones((2, 1, images), bool)
    second[0, :wins] = False
    first[0, wins : wins + losses] = False
    return paired_difference(first, second)


@given(pairs())
def test_swapping_the_two_swaps_the_interval(pair):
    forth, back = paired_difference(*pair), paired_difference(*reversed(pair))
    assert (forth.estimate, forth.low, forth.high) == pytest.approx((-back.estimate, -back.high, -back.low))


@given(pairs())
def test_the_estimate_is_in_its_interval_and_the_interval_is_possible(pair):
    difference = paired_difference(*pair)
    assert -1 <= difference.low <= difference.estimate + 1e-12
    assert difference.estimate - 1e-12 <= difference.high <= 1
    assert difference.estimate == pytest.approx(pair[0].mean() - pair[1].mean())


@given(pairs(), st.randoms(use_true_random=False))
def test_the_order_of_seeds_and_images_is_of_no_account(pair, random):
    rows, columns = (random.sample(range(size), size) for size in pair[0].shape)
    moved = paired_difference(*(side[np.ix_(rows, columns)] for side in pair))
    assert moved.model_dump() == pytest.approx(paired_difference(*pair).model_dump())


@given(arrays(bool, SHAPES))
def test_equal_answers_show_no_difference(answers):
    difference = paired_difference(answers, answers)
    assert difference.estimate == 0
    assert difference.low == pytest.approx(-difference.high)
    assert difference.better == "none shown"


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_interval_of_equal_answers_closes_with_more_images(seeds):
    widths = [paired_difference(*np.ones((2, seeds, images), bool)).high for images in (10, 100, 1000, 10_000)]
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 0.001


def test_one_seed_is_the_paired_t_interval_with_two_images_added():
    difference = one_seed(30, 10, 198)
    values = np.array([1.0] * 31 + [-1.0] * 11 + [0.0] * 158)
    half = 1.97196 * values.std(ddof=1) / np.sqrt(200)  # Student's t at 0.975 with 199 degrees of freedom
    assert difference.estimate == pytest.approx(20 / 198)
    assert (difference.low, difference.high) == pytest.approx((0.1 - half, 0.1 + half), abs=1e-5)


@pytest.mark.parametrize(("wins", "outcome"), [(1, "none shown"), (4, "none shown"), (5, "none shown"), (6, "first")])
def test_few_images_that_all_go_one_way_are_judged_as_the_exact_test_does(wins, outcome):
    assert one_seed(wins, 0, 400).better == outcome  # the sign test's p is 0.0625 with five, and 0.03125 with six
    assert one_seed(0, wins, 400).better == {"first": "second"}.get(outcome, outcome)


def test_three_seeds_that_disagree_count_as_three_and_not_as_hundreds_of_images():
    first, second = np.zeros((2, 3, 400), bool)
    for seed, gain in enumerate((0.02, 0.10, 0.18)):
        first[seed, : int(400 * gain)] = True
    difference = paired_difference(first, second)
    assert difference.estimate == pytest.approx(0.10)
    # The standard error of the three is 0.08 / sqrt(3), and Student's t with two degrees of freedom is 4.30.
    assert difference.better == "none shown"
    assert difference.high - difference.low > 2 * 4 * 0.08 / np.sqrt(3)


def test_seeds_that_agree_on_a_large_difference_show_it():
    random = np.random.default_rng(0)
    first, second = random.random((3, 500)) < 0.95, random.random((3, 500)) < 0.80
    assert paired_difference(first, second).better == "first"
    assert paired_difference(second, first).better == "second"


@pytest.mark.parametrize("seed_deviation", [0.0, 0.01, 0.03])
def test_the_interval_of_three_seeds_holds_the_truth_nearly_always(seed_deviation):
    """Images are hard for both, or for one; the seeds move the accuracy. 95 % is asked for, and 93 % are required."""
    random = np.random.default_rng(1)
    held = 0
    for _ in range(300):
        hard_for_both, hard_for_one = random.normal(0, 1, 300), random.normal(0, 0.5, (2, 300))

        def right(side, accuracy, common=hard_for_both, own=hard_for_one):
            moved = np.clip(accuracy + random.normal(0, seed_deviation, (3, 1)), 0.01, 0.99)
            noise = common + own[side] + random.normal(0, 0.7, (3, 300))
            return noise < norm.ppf(moved) * np.sqrt(1 + 0.25 + 0.49)

        difference = paired_difference(right(0, 0.85), right(1, 0.82))
        held += difference.low <= 0.03 <= difference.high
    assert held / 300 >= 0.93


@pytest.mark.parametrize(("first", "second"), [((2, 3), (3, 2)), ((1, 0), (1, 0)), ((0, 4), (0, 4)), ((4,), (4,))])
def test_answers_that_cannot_be_paired_are_refused(first, second):
    with pytest.raises(ValueError, match=r"Expected two arrays \(seeds, images\)"):
        paired_difference(np.zeros(first, bool), np.zeros(second, bool))


def test_an_interval_that_touches_zero_shows_nothing():
    assert Difference(estimate=0.1, low=0.0, high=0.2).better == "none shown"
