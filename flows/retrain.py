"""The main flow: from a recipe to a release."""

import time
from collections.abc import Sequence
from pathlib import Path

from thaw.flows import active_runs, steps
from thaw.flows.journal import Journal
from thaw.flows.quick_flow import quick_flow
from thaw.flows.result import RunResult, recall, remember
from thaw.flows.stages import train_in_two_stages
from thaw.flows.steps import TaskName
from thaw.flows.summary import summarize
from thaw.pipeline_config.schema import Recipe
from thaw.tasks.artifacts.in_use import home_in_use
from thaw.tasks.children import sharing_children
from thaw.tasks.evaluation.task import compare_with_champion, evaluate
from thaw.tasks.ingest.task import ingest
from thaw.tasks.publishing.step import PublishStep
from thaw.tasks.publishing.task import publish_release
from thaw.tasks.records.task import write_records


@quick_flow(
    name="retrain",
    flow_run_name="{recipe.name}-seed-{recipe.seed}",
    on_running=[active_runs.begin],
    on_completion=[active_runs.end],
    on_failure=[active_runs.end],
    on_crashed=[active_runs.end],
    on_cancellation=[active_runs.end],
)
def retrain(recipe: Recipe, home: Path, refresh: Sequence[TaskName] = ()) -> RunResult:
    """Ingest, train in two stages, evaluate, compare with the champion, and publish.

    Args:
        recipe: What to do.
        home: Folder of artifacts and releases.
        refresh: Tasks that run again although they are cached, with all that depends on them.

    Returns:
        What happened.

    Raises:
        ThawError: What the first task that failed raised. Nothing is published then.
    """
    # thaw gc waits for the home's end of use, because a step that is cached holds no lock.
    with home_in_use(home), sharing_children():
        return _run_steps(Journal(recipe, home.absolute(), steps.with_all_after(refresh)))


def _run_steps(journal: Journal) -> RunResult:
    started, recipe = time.monotonic(), journal.recipe
    dataset = journal.run(ingest, steps.ingest_step(recipe, journal.home))
    records = journal.run(write_records, steps.records_step(recipe, dataset))
    stage_one, stage_two = train_in_two_stages(journal, records)
    evaluation = journal.run(evaluate, steps.evaluate_step(recipe, records, stage_one, stage_two))
    verdict = journal.run(compare_with_champion, steps.verdict_step(recipe, journal.home, evaluation, repair=True))
    publish = PublishStep(
        recipe=recipe,
        dataset=dataset,
        records=records,
        stage_one=stage_one,
        stage_two=stage_two,
        evaluation=evaluation,
        verdict=verdict,
    )
    release = journal.run(publish_release, publish)
    result = summarize(journal, [stage_one, stage_two], evaluation, release, seconds=time.monotonic() - started)
    # A run that was killed between its last task and here left no result: then the next one's takes its place.
    if not all(task.cached for task in result.tasks) or recall(journal.home, publish.key) is None:
        remember(journal.home, publish.key, result)
    return result
