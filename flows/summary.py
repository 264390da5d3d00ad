"""Gathers the result of a run, inside the flow."""

from typing import Any

from prefect import runtime
from prefect.settings import get_current_settings

from thaw.flows.journal import Journal
from thaw.flows.result import ReleaseReport, RunResult, StageReport
from thaw.flows.temporary_server import runs_on_temporary_server
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.artifacts.store import ArtifactStore
from thaw.tasks.releases.registry import Registry


def summarize(
    journal: Journal, stages: list[ArtifactRef], evaluation: ArtifactRef, release: ArtifactRef, *, seconds: float
) -> RunResult:
    """Gather the result of a run whose tasks are all done. Called inside the flow.

    Args:
        journal: The tasks' reports.
        stages: The stages' artifacts.
        evaluation: The evaluation artifact.
        release: The release artifact.
        seconds: Wall time of the flow.

    Returns:
        The result.
    """
    store = ArtifactStore(journal.home)
    published = Registry(journal.home).get(store.facts(release)["id"])
    run = str(runtime.flow_run.id)
    server = None if runs_on_temporary_server() else get_current_settings().api.url
    return RunResult(
        run=run,
        recipe=journal.recipe.name,
        seconds=round(seconds, 3),
        tasks=journal.reports,
        stages=[_stage_report(store.facts(stage)) for stage in stages],
        metrics={"test": store.facts(evaluation)["test"]},
        verdict=published.verdict,
        release=ReleaseReport(id=published.id, path=published.path, champion=published.is_champion),
        ui_url=f"{server.removesuffix('/api')}/runs/flow-run/{run}" if server else None,
    )


def _stage_report(facts: dict[str, Any]) -> StageReport:
    return StageReport(
        name=facts["name"],
        epochs=facts["epochs"],
        kept_epoch=facts["kept_epoch"],
        val_accuracy_before=facts["before"]["val_accuracy"],
        val_accuracy=facts["val_accuracy"],
        weights_sha256=facts["weights_sha256"],
    )
