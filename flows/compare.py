"""The flow that compares recipes: each of them with each seed, on the same images. Nothing is published."""

import time
from collections.abc import Sequence
from pathlib import Path

from prefect import runtime
from prefect.artifacts import create_table_artifact

from thaw.flows import active_runs
from thaw.flows.comparison_result import ComparisonResult, ComparisonTask
from thaw.flows.graph import EXPERIMENT, PREPARATION
from thaw.flows.quick_flow import quick_flow
from thaw.flows.task_runner import TaskRunner
from thaw.flows.workers import do_all
from thaw.pipeline_config.errors import ThawError
from thaw.pipeline_config.schema import Recipe
from thaw.tasks.artifacts.in_use import home_in_use
from thaw.tasks.children import sharing_children
from thaw.tasks.experiments.files import default_folder, write_comparison
from thaw.tasks.experiments.measured_run import MeasuredRun, TrainedStage, measured_run
from thaw.tasks.experiments.summary import Comparison, compare_runs, different_test_images
from thaw.tasks.experiments.tables import word_tables
from thaw.tasks.home import Home
from thaw.tasks.ingest.dataset import read_dataset
from thaw.tasks.task import only_shown


def _run_name() -> str:
    parameters = runtime.flow_run.get_parameters()
    names = "-".join(recipe.name for recipe in parameters["recipes"])
    return f"{names}-seeds-{'-'.join(map(str, parameters['seeds']))}"


@quick_flow(name="compare", flow_run_name=_run_name, **active_runs.hooks(active_runs.report_tasks_as_crashed))
def compare_recipes(
    recipes: Sequence[Recipe], seeds: Sequence[int], home: Path, output: Path | None = None, workers: int = 1
) -> ComparisonResult:
    """Train each recipe with each seed, test all on the same images, and compare.

    Args:
        recipes: What to compare; their names differ.
        seeds: Of the training, in place of the recipes' own. Which image is in which split depends on `dataset.seed`,
            or else on the recipe's own seed, and stays the same.
        home: Folder of artifacts.
        output: Folder for the tables and the picture; None for one in the home folder.
        workers: How many runs may go on at a time.

    Raises:
        ThawError: A run failed, after all others have ended.
    """
    # thaw gc waits for the home's end of use, because a step that is cached holds no lock.
    with home_in_use(home), sharing_children():
        started, opened = time.monotonic(), Home.open(home)
        opened.state_layout()
        prepared = [_prepare(_with_splits_kept(recipe), opened) for recipe in recipes]
        _require_same_test_images(prepared)
        runs = [_with_seed(each, seed) for each in prepared for seed in seeds]
        measured = _results(runs, do_all(runs, _train_and_test, workers))
        comparison = compare_runs(measured)
        folder = default_folder(opened.path, comparison) if output is None else output
        write_comparison(folder, comparison)
        _show_in_ui(comparison)
        return ComparisonResult(
            **dict(comparison),
            run=str(runtime.flow_run.id),
            seconds=round(time.monotonic() - started, 3),
            folder=folder,
            tasks=[
                ComparisonTask(**task.model_dump(), run=runner.label)
                for runner in (*prepared, *runs)
                for task in runner.reports
            ],
        )


def _with_splits_kept(recipe: Recipe) -> Recipe:
    seed = recipe.seed if recipe.dataset.seed is None else recipe.dataset.seed
    return recipe.model_copy(update={"dataset": recipe.dataset.model_copy(update={"seed": seed})})


def _prepare(recipe: Recipe, home: Home) -> TaskRunner:
    runner = TaskRunner(recipe, home, label=recipe.name)
    runner.go(PREPARATION)
    return runner


def _with_seed(prepared: TaskRunner, seed: int) -> TaskRunner:
    recipe = prepared.recipe.model_copy(update={"seed": seed})
    runner = TaskRunner(recipe, prepared.home, label=f"{recipe.name}, seed {seed}")
    runner.made |= prepared.made
    return runner


def _require_same_test_images(prepared: Sequence[TaskRunner]) -> None:
    """Refuse, before any training, what could not be compared after it."""
    first, *others = prepared
    expected = _test_images(first)
    for other in others:
        if _test_images(other) != expected:
            raise different_test_images(first.recipe.name, other.recipe.name)


def _test_images(prepared: TaskRunner) -> set[tuple[str, str]]:
    images = read_dataset(prepared.home.store.verified(prepared.made["ingest"])).images
    return {(image.id, image.class_name) for image in images if image.split == "test"}


def _train_and_test(runner: TaskRunner) -> MeasuredRun:
    runner.go(EXPERIMENT)
    made, recipe = runner.made, runner.recipe
    stages = [
        TrainedStage(made[stage], runner.steps[stage].key, made[features] and made[features].key)
        for stage, features in (("stage_one", "features_one"), ("stage_two", "features_two"))
    ]
    return measured_run(runner.home.store, recipe.name, recipe.seed, stages, made["evaluate"])


def _results(runs: Sequence[TaskRunner], outcomes: Sequence[MeasuredRun | Exception]) -> list[MeasuredRun]:
    failed = [(run, error) for run, error in zip(runs, outcomes, strict=True) if isinstance(error, Exception)]
    if failed:
        first = failed[0][1]
        error_class = type(first) if isinstance(first, ThawError) else ThawError
        causes = " ".join(f"{run.label}: {error}" for run, error in failed)
        raise error_class(
            f"{len(failed)} of {len(runs)} runs failed. {causes} What the others made is kept: "
            "the same command goes on from there."
        )
    return [outcome for outcome in outcomes if isinstance(outcome, MeasuredRun)]


def _show_in_ui(comparison: Comparison) -> None:
    for key, table in zip(("recipes", "stages", "pairs"), word_tables(comparison), strict=False):
        with only_shown("compare", f"the table of {key}"):
            create_table_artifact(table.records(), key=f"comparison-{key}", description=table.title)
