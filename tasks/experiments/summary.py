"""From measured runs to the comparison: a row per recipe, and a row per pair of recipes."""

import itertools
from collections.abc import Iterable, Sequence
from typing import Self

import numpy as np
from pydantic import BaseModel, ConfigDict

from thaw.pipeline_config.errors import RequestError
from thaw.tasks.evaluation.earned import STAGE_ONE, STAGE_ONE_AT_STAGE_TWO, STAGE_TWO
from thaw.tasks.evaluation.paired_difference import Bools, Difference, paired_difference
from thaw.tasks.experiments.measured_run import RELEASED, MeasuredRun, RunRow, StageCost


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True)


class Spread(_Row):
    """A number over the seeds."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Self:
        """Sum up some numbers, at least one."""
        numbers = list(values)
        return cls(mean=sum(numbers) / len(numbers), low=min(numbers), high=max(numbers))


class StageRow(_Row):
    """What one stage of a recipe took, over the seeds."""

    resolution: int  # height and width of its images, in pixels
    seconds: Spread  # wall time
    images_per_second: Spread  # of training, validation included in the time
    peak_memory_bytes: int | None  # the most that a run's process held; None where one was not measured


class RecipeRow(_Row):
    """A recipe over all seeds."""

    recipe: str
    seeds: list[int]
    test_images: int
    accuracy: Spread  # on the test split, of the model that would be released
    loss: Spread
    training_seconds: Spread  # of both stages
    stage_one: StageRow
    stage_two: StageRow
    stage_one_accuracy: Spread  # of stage one's weights, at stage one's resolution
    stage_one_at_stage_two_accuracy: Spread  # of the same weights, at stage two's resolution
    stage_two_accuracy: Spread
    resolution_earned: Difference  # what the step to stage two's resolution alone changed
    stage_two_earned: Difference  # what stage two's training then changed, at that resolution


class PairRow(_Row):
    """Two recipes beside each other."""

    first: str
    second: str
    difference: Difference  # test accuracy of the first less that of the second
    verdict: str  # about the recipes; with one seed, about the two models that it made


class Comparison(_Row):
    """All of it. Each field is a table of the files that a comparison leaves."""

    recipes: list[RecipeRow]
    pairs: list[PairRow]
    runs: list[RunRow]


def compare_runs(runs: Sequence[MeasuredRun]) -> Comparison:
    """Compare recipes. The runs come recipe by recipe, each with the same seeds in the same order.

    Raises:
        RequestError: Two recipes were tested on different images.
    """
    recipes = [list(group) for _, group in itertools.groupby(runs, key=lambda run: run.row.recipe)]
    for group in recipes[1:]:
        if group[0].image_ids != recipes[0][0].image_ids:
            raise different_test_images(recipes[0][0].row.recipe, group[0].row.recipe)
    return Comparison(
        recipes=[_recipe_row(group) for group in recipes],
        pairs=[_pair_row(first, second) for first, second in itertools.combinations(recipes, 2)],
        runs=[run.row for run in runs],
    )


def different_test_images(first: str, second: str) -> RequestError:
    """Make the error for two recipes that cannot be compared."""
    return RequestError(
        f"{first} and {second} are not tested on the same images, so they cannot be compared. Give both the same "
        "dataset.source, dataset.splits and dataset.seed, for example with --data DIR and --set dataset.seed=0."
    )


def verdict_of(first: str, second: str, difference: Difference, seeds: int) -> str:
    """Say in words what the difference between two recipes means, each trained with so many seeds.

    One seed shows how much two models differ. How much of that another seed would undo, it does not.
    """
    if difference.better == "none shown":
        return "no difference shown"
    recipe = first if difference.better == "first" else second
    return f"{recipe} is better" if seeds > 1 else f"the model of {recipe} is better"


def _recipe_row(runs: Sequence[MeasuredRun]) -> RecipeRow:
    rows = [run.row for run in runs]
    at_two = _right(runs, STAGE_ONE_AT_STAGE_TWO)
    return RecipeRow(
        recipe=rows[0].recipe,
        seeds=[row.seed for row in rows],
        test_images=rows[0].test_images,
        accuracy=Spread.of(row.accuracy for row in rows),
        loss=Spread.of(row.loss for row in rows),
        training_seconds=Spread.of(row.training_seconds for row in rows),
        stage_one=_stage_row([row.stage_one for row in rows]),
        stage_two=_stage_row([row.stage_two for row in rows]),
        stage_one_accuracy=Spread.of(row.stage_one_accuracy for row in rows),
        stage_one_at_stage_two_accuracy=Spread.of(row.stage_one_at_stage_two_accuracy for row in rows),
        stage_two_accuracy=Spread.of(row.stage_two_accuracy for row in rows),
        resolution_earned=paired_difference(at_two, _right(runs, STAGE_ONE)),
        stage_two_earned=paired_difference(_right(runs, STAGE_TWO), at_two),
    )


def _stage_row(stages: Sequence[StageCost]) -> StageRow:
    peaks = [stage.peak_memory_bytes for stage in stages]
    return StageRow(
        resolution=stages[0].resolution,
        seconds=Spread.of(stage.seconds for stage in stages),
        images_per_second=Spread.of(stage.images_per_second for stage in stages),
        peak_memory_bytes=None if None in peaks else max(peak for peak in peaks if peak is not None),
    )


def _pair_row(first: Sequence[MeasuredRun], second: Sequence[MeasuredRun]) -> PairRow:
    names = first[0].row.recipe, second[0].row.recipe
    difference = paired_difference(_right(first, RELEASED), _right(second, RELEASED))
    verdict = verdict_of(*names, difference, seeds=len(first))
    return PairRow(first=names[0], second=names[1], difference=difference, verdict=verdict)


def _right(runs: Sequence[MeasuredRun], answers: str) -> Bools:
    return np.stack([run.right[answers] for run in runs])
