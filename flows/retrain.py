"""The main flow: from a recipe to a release. Its tasks are declared in `thaw.flows.graph`."""

import time
from collections.abc import Sequence
from pathlib import Path

from prefect import runtime

from thaw.flows import active_runs
from thaw.flows.addresses import with_whole_addresses
from thaw.flows.approval import ask
from thaw.flows.graph import GRAPH, TaskName, with_all_after
from thaw.flows.quick_flow import quick_flow
from thaw.flows.server_in_use import outlives_the_run, run_page
from thaw.flows.story import NOTHING_NEW, WAITING, completed, emit_outcome, name_run, rename_run, state_of
from thaw.flows.task_runner import TaskRunner
from thaw.pipeline_config.schema import Recipe
from thaw.tasks.artifacts.in_use import home_in_use
from thaw.tasks.children import sharing_children
from thaw.tasks.evaluation.step import EvaluationFacts
from thaw.tasks.home import Home
from thaw.tasks.publishing.step import ReleaseFacts
from thaw.tasks.releases.preflight import PreflightFacts
from thaw.tasks.releases.verdict import Verdict
from thaw.tasks.runs import ReleaseReport, RunResult, StageReport, nothing_new, recall, remember
from thaw.tasks.training.stage_facts import StageFacts


@quick_flow(name="retrain", flow_run_name="{recipe.name}-seed-{recipe.seed}", **active_runs.hooks())
def retrain(recipe: Recipe, home: Path, refresh: Sequence[TaskName] = ()) -> RunResult:
    """Ingest, train in two stages, evaluate, compare with the champion, report, and publish.

    Args:
        recipe: What to do.
        home: Folder of artifacts and releases.
        refresh: Tasks that run again although they are cached, with all that depends on them.

    Raises:
        ThawError: What the first task that failed raised. Nothing is published then.
    """
    # thaw gc waits for the home's end of use, because a step that is cached holds no lock.
    with home_in_use(home), sharing_children():
        started, opened = time.monotonic(), Home.open(home)
        opened.state_layout()
        runner = TaskRunner(with_whole_addresses(recipe), opened, with_all_after(refresh))
        runner.go(GRAPH)
        if runner.nothing_new:
            return _ended_early(runner, time.monotonic() - started)
        result = _result(runner, time.monotonic() - started)
        key = runner.keys["publish"]
        # A run that was killed between its last task and here left no result: then the next one's takes its place.
        if not _is_cached(result) or recall(opened, key) is None:
            remember(opened, key, result)
        verdict = opened.store.facts(runner.made["verdict"], Verdict)
    return _ended(opened, recipe, result, verdict)


def _ended(home: Home, recipe: Recipe, result: RunResult, verdict: Verdict) -> RunResult:
    """Ask a person, if one is to be asked, and say in Prefect how the run came out."""
    release = home.registry.get(result.release.id)
    approval = recipe.publish.approval
    waits = approval is not None and home.registry.is_due(release) and ask(home, release, approval)
    champion = home.registry.get(release.id).is_champion
    result = result.model_copy(update={"release": result.release.model_copy(update={"champion": champion})})
    state = WAITING if waits else NOTHING_NEW if _is_cached(result) else state_of(verdict, is_champion=champion)
    rename_run(recipe.name, verdict, state)
    if state not in (WAITING, NOTHING_NEW):
        emit_outcome(result, verdict)
    return completed(result, state)


def _ended_early(runner: TaskRunner, seconds: float) -> RunResult:
    """Say in Prefect that there was no need to train, and why."""
    recipe, home, run = runner.recipe, runner.home, str(runtime.flow_run.id)
    result = nothing_new(home, recipe.name, runner.nothing_new, runner.reports)
    pages = _pages(run)
    result = result.model_copy(update={"run": run, "seconds": round(seconds, 3), **pages})
    name_run(f"{recipe.name}: {result.metrics['test']['accuracy']:.3f}, {NOTHING_NEW.lower()}")
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
        preflight=store.facts(made["preflight"], PreflightFacts),
        release=ReleaseReport(id=published.id, path=published.path, champion=published.is_champion),
        **_pages(run),
    )


def _stage_report(facts: StageFacts) -> StageReport:
    shared = facts.model_dump(include={"name", "epochs", "kept_epoch", "val_accuracy", "weights_sha256"})
    return StageReport(**shared, val_accuracy_before=facts.before.val_accuracy)
