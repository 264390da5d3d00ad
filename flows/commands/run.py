"""`thaw run`: one run of a recipe, shown live, and its result."""

from collections.abc import Collection
from contextlib import AbstractContextManager
from pathlib import Path

import typer

from thaw.flows.commands.console import plain_table, result_console
from thaw.flows.commands.home import prepare_home
from thaw.flows.commands.start_prefect import start_prefect
from thaw.flows.graph import TaskName
from thaw.flows.plan import plan
from thaw.flows.server_errors import prefect_command, server_errors
from thaw.flows.status import shown
from thaw.pipeline_config.errors import DownloadError
from thaw.pipeline_config.schema import Recipe
from thaw.tasks.artifacts.in_use import home_in_use
from thaw.tasks.children import sharing_children
from thaw.tasks.home import Home
from thaw.tasks.progress import belongs_to, say
from thaw.tasks.runs import NOTHING_NEW, RunResult, nothing_new, recall


def run_recipe(
    recipe: Recipe, refresh: Collection[TaskName], folder: Path | None, *, verify: bool, always: bool, as_json: bool
) -> None:
    """Run a recipe and print its result.

    With `verify`, files that seem unchanged are read, too; with `always`, the flow starts also where all is cached.
    """
    home = prepare_home(folder)
    belongs_to(recipe=recipe.name)
    if always:  # also where the images give no need to
        recipe = recipe.model_copy(update={"retrain": recipe.retrain.model_copy(update={"when": "always"})})
    with shown() as bars:
        say(f"recipe {recipe.name}, seed {recipe.seed}, home {home.path}")
        if verify:
            home.digests.forget()
        result, needs_keras = (None, False) if always else _look_first(recipe, home, refresh)
        if result is None:
            result = _run_flow(recipe, home, refresh, bars, needs_keras=needs_keras)
        elif result.verdict == NOTHING_NEW:
            say("nothing new; there is no need to train (--always trains all the same)")
        else:
            say("up to date; this is the result of the run that made it (--always runs all the same)")
    if as_json:
        typer.echo(result.model_dump_json(indent=1))
    else:
        print_result(result)


def _run_flow(
    recipe: Recipe,
    home: Home,
    refresh: Collection[TaskName],
    bars: AbstractContextManager[object],
    *,
    needs_keras: bool,
) -> RunResult:
    with sharing_children() as children:
        if needs_keras:
            children.prepare()  # it imports Keras while Prefect starts
        interruption = start_prefect(home.path)

        from thaw.flows.retrain import retrain

        with bars, interruption.in_flow(retrain), server_errors():
            return retrain(refresh=sorted(refresh), recipe=recipe, home=home.path)


def _look_first(recipe: Recipe, home: Home, refresh: Collection[TaskName]) -> tuple[RunResult | None, bool]:
    """Find the result where there is nothing to do; else say whether a run will need Keras, as far as that is known."""
    with home_in_use(home.path):  # what the plan has found is there until it is read
        try:
            planned = plan(recipe, home, refresh)
        except DownloadError:  # a source out of reach; the task looks again, with its retries, and says so
            return None, True
        if planned.nothing_new:
            return nothing_new(home, recipe.name, planned.nothing_new, planned.reports), False
        result = recall(home, planned.last_key) if planned.up_to_date and planned.last_key else None
        return result, not planned.decides_next


def print_result(result: RunResult) -> None:
    """Print what a run made, or found, and where it is."""
    console = result_console()
    table = plain_table("task", "state", "seconds")
    for task in result.tasks:
        table.add_row(task.name, "cached" if task.cached else task.state, f"{task.seconds:.1f}")
    console.print(table)
    looked = result.preflight
    if looked is not None and looked.changes is not None and result.verdict != NOTHING_NEW:
        console.print(f"images since {looked.champion}: {looked.changes.sentence}", soft_wrap=True)
    for stage in result.stages:
        console.print(
            f"{stage.name}: validation accuracy {stage.val_accuracy_before:.4f} before its first step, "
            f"{stage.val_accuracy:.4f} after {stage.epochs} epochs"
            + (f" (those of epoch {stage.kept_epoch} are kept)" if stage.kept_epoch != stage.epochs else ""),
            soft_wrap=True,
        )
    test = result.metrics["test"]
    low, high = test["accuracy_ci"]
    console.print(f"test accuracy: {test['accuracy']:.4f} ({low:.4f} to {high:.4f}) on {test['examples']} images")
    if result.earned:
        console.print(result.earned, soft_wrap=True)
    use = "" if result.verdict == NOTHING_NEW else ", now in use" if result.release.champion else ", not in use"
    console.print(f"verdict: {result.verdict}{use}")
    console.print(result.reason, soft_wrap=True)
    for name, file in (("release", ""), ("model", "model.keras"), ("report", "report.html")):
        if (path := result.release.path / file).exists():
            console.print(f"{name}: {path}", soft_wrap=True)
    if result.run is None:
        return
    hint = f"{prefect_command()} server start, then open {result.ui_url_later or f'the run {result.run}'}"
    console.print(f"in the Prefect UI: {result.ui_url or hint}", soft_wrap=True)
