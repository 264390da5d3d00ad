"""The statistics of pairs, against exact enumeration, other derivations, and the simulations in docs/verdict.md."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import binom, norm

from thaw.tasks.evaluation.intervals import agresti_min_interval
from thaw.tasks.verdict.statistics import images_needed, mid_p_mcnemar, tango_p

counts = st.integers(0, 60)


@given(gained=counts, lost=counts)
def test_the_two_directions_of_mcnemars_test_share_all_probability(gained, lost):
    assert mid_p_mcnemar(gained, lost) + mid_p_mcnemar(lost, gained) == pytest.approx(1)
    if gained == lost:
        assert mid_p_mcnemar(gained, lost) == pytest.approx(0.5)


@given(gained=counts, lost=counts)
def test_mid_p_is_half_the_case_itself_and_all_that_is_more_extreme(gained, lost):
    of = gained + lost
    chances = [math.comb(of, heads) / 2**of for heads in range(of + 1)]
    assert mid_p_mcnemar(gained, lost) == pytest.approx(chances[gained] / 2 + sum(chances[gained + 1 :]))


@given(gained=counts, lost=counts, more=st.integers(0, 500))
def test_the_interval_turns_with_the_sides_and_narrows_around_the_difference(gained, lost, more):
    images = gained + lost + more + 1
    low, high = agresti_min_interval(gained, lost, images, 0.95)
    assert -1 <= low <= high <= 1
    assert list(agresti_min_interval(lost, gained, images, 0.95)) == pytest.approx([-high, -low])
    narrow = agresti_min_interval(gained, lost, images, 0.5)
    assert low <= narrow[0] <= narrow[1] <= high


def log_likelihood(gained, lost, images, difference, share_lost):
    share_gained = share_lost + difference
    cells = ((gained, share_gained), (lost, share_lost), (images - gained - lost, 1 - share_gained - share_lost))
    return sum(count * math.log(max(share, 1e-300)) for count, share in cells if count)


@pytest.mark.parametrize(("gained", "lost", "images"), [(5, 3, 100), (0, 4, 50), (7, 0, 188), (12, 20, 600)])
@pytest.mark.parametrize("margin", [0.005, 0.01, 0.05])
def test_tangos_test_uses_the_most_likely_shares_of_which_the_difference_is_the_margin(gained, lost, images, margin):
    best = minimize_scalar(
        lambda share: -log_likelihood(gained, lost, images, -margin, share),
        bounds=(margin, (1 + margin) / 2),
        method="bounded",
        options={"xatol": 1e-10},
    ).x
    variance = images * (2 * best - margin - margin**2)
    expected = norm.sf((gained - lost + images * margin) / math.sqrt(variance))
    assert tango_p(gained, lost, images, margin) == pytest.approx(expected, abs=1e-4)


@given(gained=counts, lost=counts, more=st.integers(1, 500), margin=st.floats(1e-4, 0.2))
def test_a_larger_margin_a_gain_more_or_a_loss_less_never_make_it_harder_to_be_not_worse(gained, lost, more, margin):
    images = gained + lost + more
    p = tango_p(gained, lost, images, margin)
    assert 0 <= p <= 1
    assert tango_p(gained, lost, images, margin * 1.5) <= p + 1e-9
    assert tango_p(gained + 1, lost, images + 1, margin) <= p + 1e-9
    if lost:
        assert tango_p(gained, lost - 1, images, margin) <= p + 1e-9


@pytest.mark.parametrize(("gain", "discordance"), [(0.01, 0.03), (0.02, 0.03), (0.01, 0.12), (0.05, 0.05)])
def test_so_many_images_show_such_a_gain_four_times_of_five(gain, discordance):
    images = images_needed(gain, discordance, 0.9)
    random = np.random.default_rng(0)
    shares = [(discordance + gain) / 2, (discordance - gain) / 2, 1 - discordance]
    gained, lost, _ = random.multinomial(images, shares, size=4000).T
    p = binom.sf(gained, gained + lost, 0.5) + 0.5 * binom.pmf(gained, gained + lost, 0.5)
    assert (p <= 0.1).mean() == pytest.approx(0.8, abs=0.06)
