"""How often each gate promotes what it should not, and what it should: bounds for the figures in docs/verdict.md."""

import numpy as np
import pytest

from benchmarks.verdict import RULES, SPLITS, World, after_a_year, promoted

BETTER, NOT_WORSE, HIGHER = RULES["better, 0.9"], RULES["not_worse by 1 point, 0.95"], RULES["higher"]

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("images", "discordance"), SPLITS)
def test_an_equal_model_is_called_better_in_one_case_of_nine_at_most(images, discordance):
    world = World(images, discordance)
    assert promoted(BETTER, world, 0.0, pairs=2000, seed=1) <= 0.11
    assert promoted(HIGHER, world, 0.0, pairs=2000, seed=1) > 0.35  # what the comparison of two numbers does


def test_a_gain_of_two_points_on_600_images_is_seen():
    assert promoted(BETTER, World(600, 0.03), 0.02, pairs=2000, seed=1) >= 0.9


@pytest.mark.parametrize(("images", "discordance"), SPLITS)
def test_a_loss_of_a_point_passes_as_not_worse_in_one_case_of_sixteen_at_most(images, discordance):
    assert promoted(NOT_WORSE, World(images, discordance), -0.01, pairs=2000, seed=1) <= 0.06


def test_a_year_of_equal_retrains_does_not_lock_the_gate():
    years, share = after_a_year(BETTER, World(600, 0.03), 0.02, years=400, seed=1)
    assert np.mean([year.promotions for year in years]) < 1.5
    assert share > 0.65  # where scores of other images were compared, it was 0.05 to 0.18


def test_a_year_of_models_that_are_each_not_worse_does_not_drift_below_the_anchor_by_more_than_the_margin():
    years, _ = after_a_year(NOT_WORSE, World(600, 0.03, seed_sd=0.003), 0.02, years=400, seed=1)
    assert np.mean([year.promotions for year in years]) > 1
    assert np.quantile([year.loss for year in years], 0.95) <= 0.01
