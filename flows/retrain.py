"""The main flow: from a recipe to a release. Its tasks are declared in `thaw.flows.graph`."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from prefect import get_run_logger, runtime

from thaw.flows import active_runs
from thaw.flows.addresses import with_whole_addresses
from thaw.flows.approval import ask
from thaw.flows.events import tell_of_failure, tell_of_release
from thaw.flows.graph import GRAPH, TaskName, with_all_after
from thaw.flows.ingested import note_images
from thaw.flows.parameters import Folder, RecipeParameter
from thaw.flows.quick_flow import quick_flow
from thaw.flows.report_artifact import show_report
from thaw.flows.served_files import changed_file
from thaw.flows.server_in_use import outlives_the_run, run_page
from thaw.flows.story import (
    FLOW,
    NOTHING_NEW,
    WAITING,
    begin,
    completed,
    name_run,
    refused,
    rename_run,
    state_of,
)
from thaw.flows.task_runner import TaskRunner
from thaw.pipeline_config.errors import RecipeError
from thaw.pipeline_config.loading import change_recipe
from thaw.pipeline_config.messages import one_line
from thaw.pipeline_config.schema import Recipe
from thaw.tasks.artifacts.in_use import home_in_use
from thaw.tasks.children import sharing_children
from thaw.tasks.evaluation.step import EvaluationFacts
from thaw.tasks.home import Home
from thaw.tasks.progress import belongs_to
from thaw.tasks.publishing.step import ReleaseFacts
from thaw.tasks.releases.verdict import Verdict
from thaw.tasks.report.finishing import MARKDOWN_NAME
from thaw.tasks.runs import ReleaseReport, RunResult, StageReport, looked_at, nothing_new, recall, remember
from thaw.tasks.training.stage_facts import StageFacts

_LONGEST_CHANGES = 100  # characters of a run's name


def _run_name() -> str:
    """Name a run by what it is asked, until it is known how it comes out."""
    parameters = runtime.flow_run.get_parameters()
    recipe: Recipe = parameters["recipe"]
    changes = one_line(", ".join(parameters["set"]), _LONGEST_CHANGES)
    return f"{recipe.name}, {changes}" if changes else f"{recipe.name}-seed-{recipe.seed}"


@quick_flow(name=FLOW, flow_run_name=_run_name, **active_runs.hooks(tell_of_failure, on_failure=[tell_of_failure]))
def retrain(
    set: Sequence[str] = (),
    refresh: Sequence[TaskName] = (),
    data: Annotated[Path | None, Folder] = None,
    *,
    recipe: RecipeParameter,
    home: Path,
) -> RunResult:
    """Ingest, train in two stages, evaluate, compare with the champion, report, and publish.

    Args:
        set: Changes to the recipe for this run, each KEY=VALUE, such as seed=1 or stage_two.epochs=3.
        refresh: Tasks that run again although they are cached, with all that depends on them.
        data: The absolute path of a folder of images, in place of the recipe's.
        recipe: What to do. It is shown here as it is served; `set` and `data` change it.
        home: Folder of artifacts and releases.

    Raises:
        ThawError: What the first task that failed raised. Nothing is published then.
    """
    belongs_to(recipe=recipe.name)
    begin(recipe.name)
    if warning := changed_file(recipe.name):
        get_run_logger().warning(warning)
    try:
        recipe = change_recipe(with_whole_addresses(recipe), set, data)
    except RecipeError as error:
        return refused(error)
    # thaw gc waits for the home's end of use, because a step that is cached holds no lock.
    with home_in_use(home), sharing_children():
        started, opened = time.monotonic(), Home.open(home)
        opened.state_layout()
        runner = TaskRunner(recipe, opened, with_all_after(refresh))
        runner.go(GRAPH[:1])
        note_images(recipe, opened, runner.steps["ingest"])
        runner.go(GRAPH[1:])
        if runner.nothing_new:
            return _ended_early(runner, time.monotonic() - started)
        result = _result(runner, time.monotonic() - started)
        key = runner.steps["publish"].key
        # A run that was killed between its last task and here left no result: then the next one's takes its place.
        if not _is_cached(result) or recall(opened, key) is None:
            remember(opened, key, result)
        verdict = opened.store.facts(runner.made["verdict"], Verdict)
        report = (opened.store.folder(runner.made["report"]) / MARKDOWN_NAME).read_text(encoding="utf-8")
    return _ended(opened, recipe, result, verdict, report)


def _ended(home: Home, recipe: Recipe, result: RunResult, verdict: Verdict, report: str) -> RunResult:
    """Ask a person, if one is to be asked, and say in Prefect how the run came out."""
    release, approval = home.registry.get(result.release.id), recipe.publish.approval
    waits = False
    if approval is not None and home.registry.is_due(release):
        show_report(home, release, verdict, WAITING, report)
        tell_of_release("waiting", recipe.name, release.id, verdict)
        waits = ask(home, release, approval)
    release = home.registry.get(release.id)
    result = result.model_copy(update={"release": result.release.model_copy(update={"champion": release.is_champion})})
    state = (
        WAITING if waits else NOTHING_NEW if _is_cached(result) else state_of(verdict, is_champion=release.is_champion)
    )
    rename_run(recipe.name, verdict, state)
    if state not in (WAITING, NOTHING_NEW):
        show_report(home, release, verdict, state, report)
        tell_of_release("promoted" if release.is_champion else "kept", recipe.name, release.id, verdict)
    return completed(result, state)


def _ended_early(runner: TaskRunner, seconds: float) -> RunResult:
    """Say in Prefect that there was no need to train, and why."""
    recipe, home, run = runner.recipe, runner.home, str(runtime.flow_run.id)
    result = nothing_new(home, recipe.name, runner.nothing_new, runner.reports)
    pages = _pages(run)
    result = result.model_copy(update={"run": run, "seconds": round(seconds, 3), **pages})
    name_run(recipe.name, f"{recipe.name}: {result.metrics['test']['accuracy']:.3f}, {NOTHING_NEW.lower()}")
    return completed(result, NOTHING_NEW)


def _pages(run: str) -> dict[str, str | None]:
    page, is_shown = run_page(run), outlives_the_run()
    return {"ui_url": page if is_shown else None, "ui_url_later": None if is_shown else page}


def _is_cached(result: RunResult) -> bool:
    return all(task.cached for task in result.tasks)


def _result(runner: TaskRunner, seconds: float) -> RunResult:
    store, made = runner.home.store, runner.made
    released = store.facts(made["publish"], ReleaseFacts)
    published = runner.home.registry.get(released.id)
    evaluated = store.facts(made["evaluate"], EvaluationFacts)
    judged = store.facts(made["verdict"], Verdict)
    run = str(runtime.flow_run.id)
    return RunResult(
        run=run,
        recipe=runner.recipe.name,
        seconds=round(seconds, 3),
        tasks=runner.reports,
        stages=[_stage_report(store.facts(made[name], StageFacts)) for name in ("stage_one", "stage_two")],
        metrics={"test": evaluated.test.model_dump(mode="json", exclude_none=True)},
        earned=evaluated.stages.sentence,
        verdict=judged.verdict,
        reason=judged.reason,
        preflight=looked_at(runner.home, runner.reports),
        release=ReleaseReport(id=published.id, path=published.path, champion=published.is_champion),
        **_pages(run),
    )


def _stage_report(facts: StageFacts) -> StageReport:
    shared = facts.model_dump(include={"name", "epochs", "kept_epoch", "val_accuracy", "weights_sha256"})
    return StageReport(**shared, val_accuracy_before=facts.before.val_accuracy)
