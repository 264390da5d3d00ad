"""The result of a run: the document that `thaw run --json` prints."""

from pathlib import Path
from typing import Any

from prefect import runtime
from prefect.settings import get_current_settings
from pydantic import BaseModel

from flows.journal import Journal, TaskReport
from tasks.artifacts.manifest import ArtifactRef
from tasks.artifacts.store import ArtifactStore
from tasks.publishing.registry import Registry


class StageReport(BaseModel):
    """One stage of a run.

    Attributes:
        name: The stage's name.
        epochs: Epochs that were run.
        val_accuracy_before: Validation accuracy before the first step.
        val_accuracy: Validation accuracy of the kept weights.
        weights_sha256: Digest of the kept weights.
    """

    name: str
    epochs: int
    val_accuracy_before: float
    val_accuracy: float
    weights_sha256: str


class ReleaseReport(BaseModel):
    """The release of a run.

    Attributes:
        id: Its name.
        path: Its folder.
        champion: Whether it is the one in use now.
    """

    id: str
    path: Path
    champion: bool


class RunResult(BaseModel):
    """The result of a run: what `thaw run --json` prints.

    Attributes:
        run: Prefect's id of the flow run.
        recipe: The recipe's name.
        seconds: Wall time of the flow.
        tasks: One line per task, in order.
        stages: One line per stage.
        metrics: Metrics by split, as in the evaluation's `metrics.json`, the short ones.
        verdict: "first", "better" or "not better".
        release: The release.
        ui_url: The run's page in the Prefect UI; None where the server ended with the run.
    """

    run: str
    recipe: str
    seconds: float
    tasks: list[TaskReport]
    stages: list[StageReport]
    metrics: dict[str, dict[str, Any]]
    verdict: str
    release: ReleaseReport
    ui_url: str | None


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
    server = get_current_settings().api.url
    return RunResult(
        run=run,
        recipe=journal.recipe.name,
        seconds=round(seconds, 3),
        tasks=journal.reports,
        stages=[_stage_report(store.facts(stage)) for stage in stages],
        metrics=store.facts(evaluation),
        verdict=published.verdict,
        release=ReleaseReport(id=published.id, path=published.path, champion=published.is_champion),
        ui_url=f"{server.removesuffix('/api')}/runs/flow-run/{run}" if server else None,
    )


def _stage_report(facts: dict[str, Any]) -> StageReport:
    return StageReport(
        name=facts["name"],
        epochs=facts["epochs"],
        val_accuracy_before=facts["before"]["val_accuracy"],
        val_accuracy=facts["val_accuracy"],
        weights_sha256=facts["weights_sha256"],
    )
