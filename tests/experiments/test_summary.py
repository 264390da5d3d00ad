"""From runs to rows and words."""

import dataclasses

import numpy as np
import pytest

from tests.experiments.made import make_run, make_runs
from thaw.pipeline_config.errors import RequestError
from thaw.tasks.evaluation.earned import STAGE_ONE, STAGE_ONE_AT_STAGE_TWO, STAGE_TWO
from thaw.tasks.evaluation.paired_difference import Difference
from thaw.tasks.experiments.summary import Spread, compare_runs, verdict_of
from thaw.tasks.experiments.tables import points, word_tables


def test_a_row_per_recipe_and_per_pair_in_the_order_asked_for():
    comparison = compare_runs(make_runs(["b", "a", "c"]))
    assert [row.recipe for row in comparison.recipes] == ["b", "a", "c"]
    assert [(row.first, row.second) for row in comparison.pairs] == [("b", "a"), ("b", "c"), ("a", "c")]
    assert [(run.recipe, run.seed) for run in comparison.runs] == [(name, seed) for name in "bac" for seed in range(3)]


def test_mean_and_range_are_over_the_seeds():
    runs = make_runs(["a"])
    (row,) = compare_runs(runs).recipes
    values = [run.row.accuracy for run in runs]
    assert row.accuracy == Spread(mean=sum(values) / 3, low=min(values), high=max(values))
    assert row.stage_one.seconds == Spread(mean=41, low=40, high=42)
    assert row.seeds == [0, 1, 2]


def test_what_resolution_and_stage_two_earned_add_up():
    (row,) = compare_runs(make_runs(["a"])).recipes
    earned = row.resolution_earned.estimate + row.stage_two_earned.estimate
    assert earned == pytest.approx(row.accuracy.mean - row.stage_one_accuracy.mean)


def test_resolution_alone_is_not_counted_as_stage_twos_work():
    run = make_run("a", 0)
    better, worse = np.ones(200, bool), np.arange(200) < 100
    right = {STAGE_ONE: worse, STAGE_ONE_AT_STAGE_TWO: better, STAGE_TWO: better}
    (row,) = compare_runs([dataclasses.replace(run, right=right)]).recipes
    assert row.resolution_earned.estimate == 0.5
    assert row.resolution_earned.better == "first"
    assert row.stage_two_earned.estimate == 0
    assert row.stage_two_earned.better == "none shown"


def test_runs_on_different_images_are_refused():
    one, other = make_run("a", 0), make_run("b", 0)
    other = dataclasses.replace(other, image_ids=tuple(reversed(other.image_ids)))
    with pytest.raises(RequestError, match="a and b are not tested on the same images"):
        compare_runs([one, other])


def test_a_peak_that_was_not_measured_is_unknown():
    comparison = compare_runs([make_run("a", 0, peak=None), make_run("a", 1)])
    assert comparison.recipes[0].stage_one.peak_memory_bytes is None
    assert "unknown" in word_tables(comparison)[0].rows[0]


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.01, 0.03, "one is better"), (-0.03, -0.01, "other is better"), (-0.01, 0.03, "no difference shown")],
)
def test_the_verdict_follows_the_interval(low, high, verdict):
    assert verdict_of("one", "other", Difference(estimate=0.0, low=low, high=high), seeds=2) == verdict


def test_one_seed_gives_a_verdict_on_two_models_and_never_on_recipes():
    runs = make_runs(["one", "other"], seeds=(4,), images=2000)
    for ordered, verdict in ((runs, "the model of one is better"), (runs[::-1], "the model of one is better")):
        comparison = compare_runs(ordered)
        assert [pair.verdict for pair in comparison.pairs] == [verdict]
        assert verdict in word_tables(comparison)[-1].markdown()
    (several,) = compare_runs(make_runs(["one", "other"], seeds=(4, 5, 6), images=2000)).pairs
    assert several.verdict == "one is better"


@pytest.mark.parametrize("seeds", [2, 3])
@pytest.mark.parametrize("of_seed", [0.0, 0.05])
def test_of_equal_recipes_one_is_called_better_no_more_often_than_in_one_of_twenty_comparisons(seeds, of_seed):
    """The seed moves a run's accuracy, and an image is hard for all; in nothing else do the runs differ."""
    random, comparisons, images = np.random.default_rng(seeds), 500, 400
    made = [make_run(name, seed, images=images) for name in ("one", "other") for seed in range(seeds)]
    called = 0
    for _ in range(comparisons):
        hardness, moved = random.random(images), random.normal(0, of_seed, len(made))
        runs = [
            dataclasses.replace(run, right=run.right | {STAGE_TWO: random.random(images) < 1.05 + by - hardness * 0.4})
            for run, by in zip(made, moved, strict=True)
        ]
        called += compare_runs(runs).pairs[0].verdict.endswith("is better")
    # Three standard errors above the level.
    assert called <= 0.05 * comparisons + 3 * np.sqrt(0.05 * 0.95 * comparisons)


@pytest.mark.parametrize(
    ("difference", "words"),
    [
        ((0.0213, 0.004, 0.038), "+2.13 (+0.40 to +3.80)"),
        ((-0.00001, -0.1, 0.00004), "0.00 (-10.00 to 0.00)"),
        ((1.0, 1.0, 1.0), "+100.00 (+100.00 to +100.00)"),
    ],
)
def test_differences_are_written_in_points(difference, words):
    estimate, low, high = difference
    assert points(Difference(estimate=estimate, low=low, high=high)) == words


def test_one_recipe_has_no_table_of_pairs_and_one_seed_a_warning():
    assert len(word_tables(compare_runs(make_runs(["a"])))) == 2
    (table, *_) = word_tables(compare_runs(make_runs(["a"], seeds=(4,))))
    assert table.title.startswith("Seed 4; 200 test images. One seed compares the models that it made")
    assert "nothing" not in word_tables(compare_runs(make_runs(["a"])))[0].title


def test_every_row_of_words_fits_its_columns():
    for table in word_tables(compare_runs(make_runs(["a", "b"]))):
        assert {len(row) for row in table.rows} == {len(table.columns)}
        assert all(set(record) == set(table.columns) for record in table.records())
