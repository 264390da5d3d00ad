"""Runs that are over: the document that `thaw run --json` prints, and its copies in `<home>/runs`. No Prefect.

A copy is named after the key of the run's last step, which depends on all the others.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from thaw.pipeline_config.errors import PublishError
from thaw.tasks.artifacts.age import disk_usage, mark_used
from thaw.tasks.artifacts.atomic import make_folder, write_atomically
from thaw.tasks.artifacts.document import Document
from thaw.tasks.artifacts.entries import entries
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.artifacts.refusals import reading
from thaw.tasks.home import Home
from thaw.tasks.releases.preflight import FeatureDriftFacts, PreflightFacts
from thaw.tasks.releases.verdict import TestMetrics

RUNS_NAME = "runs"
NOTHING_NEW = "nothing new"


class TaskReport(BaseModel):
    """One task of a run."""

    name: str
    state: str = Field(description="Prefect's state type, in lower case")
    cached: bool
    seconds: float = Field(description="wall time, with retries")
    digest: str = Field(description="of the artifact")


class StageReport(BaseModel):
    """One stage of a run."""

    name: str
    epochs: int = Field(description="that were run")
    kept_epoch: int = Field(description="whose weights are kept; 0 is the state before the first step")
    val_accuracy_before: float
    val_accuracy: float = Field(description="of the kept weights")
    weights_sha256: str


class ReleaseReport(BaseModel):
    """The release of a run."""

    id: str
    path: Path
    champion: bool = Field(description="whether it is the one in use now")


class RunResult(Document):
    """The result of a run."""

    run: str | None = Field(description="Prefect's id of the flow run; null where it took none to find nothing new")
    recipe: str
    seconds: float = Field(description="wall time of the flow")
    tasks: list[TaskReport] = Field(description="in the order in which they ran")
    stages: list[StageReport]
    metrics: dict[str, dict[str, Any]] = Field(description="by split, as in metrics.json, the short ones")
    earned: str = Field(default="", description="by stage two, in words; empty in a result of an earlier thaw")
    verdict: str = Field(description='"nothing new" where there was no need to train')
    reason: str = Field(default="", description="of the verdict, in words; empty in a result of an earlier thaw")
    preflight: PreflightFacts | None = Field(default=None, description="of the images; null as for `earned`")
    release: ReleaseReport = Field(description="where there was no need to train, the champion")
    ui_url: str | None = Field(description="of the run in the Prefect UI; null where the server ended with the run")
    ui_url_later: str | None = Field(default=None, description="where a server would show it that is started later")


class RememberedRun(RunResult):
    """The contents of `runs/<key>.json`."""

    sequence: int = 0  # which of two releases was made last, whatever the clock says


@dataclass(frozen=True)
class RunRecord:
    """A file in `runs`: its content, None where it is damaged, and when it was made or last found to be up to date."""

    path: Path
    content: RememberedRun | None
    modified: float

    @property
    def key(self) -> str:
        """The key of the run's last step, which made the release artifact."""
        return self.path.stem

    @property
    def release(self) -> str | None:
        """The id of the release that it made; None where the file is damaged."""
        return None if self.content is None else self.content.release.id


def nothing_new(home: Home, recipe: str, reasons: Sequence[str], tasks: list[TaskReport]) -> RunResult:
    """Make the result of a run that had no need to train: what the champion is.

    Raises:
        PublishError: There is none any more, or it is damaged.
    """
    champion = home.registry.champion(recipe)
    if champion is None:
        raise PublishError(f"{recipe} has no champion any more. Run again.")
    test = champion.model_dump(mode="json", include=set(TestMetrics.model_fields))
    return RunResult(
        run=None,
        recipe=champion.recipe,
        seconds=0.0,
        tasks=tasks,
        stages=[],
        metrics={"test": test},
        verdict=NOTHING_NEW,
        reason=" ".join(reasons),
        preflight=looked_at(home, tasks),
        release=ReleaseReport(id=champion.id, path=champion.path, champion=champion.is_champion),
        ui_url=None,
    )


def looked_at(home: Home, tasks: Sequence[TaskReport]) -> PreflightFacts:
    """Say what a run's look at its images found, and that at their features beside it."""
    digests = {task.name: task.digest for task in tasks}
    facts = home.store.facts(ArtifactRef(kind="preflight", digest=digests["preflight"]), PreflightFacts)
    if (features := digests.get("feature_drift")) is None:
        return facts
    return home.store.facts(ArtifactRef(kind="feature_drift", digest=features), FeatureDriftFacts).beside(facts)


def remember(home: Home, key: str, result: RunResult) -> None:
    """Keep a run's result, for a later run that finds nothing to do.

    Raises:
        ArtifactError: The home folder cannot be written.
    """
    path = _path(home.path, key)
    make_folder(path.parent)
    with home.store.lock(RUNS_NAME):  # two runs that end at once have numbers of their own
        known = (record.content.sequence for record in read_run_records(home.path) if record.content is not None)
        content = RememberedRun(**dict(result), sequence=max(known, default=0) + 1)
        write_atomically(path, content.model_dump_json(indent=1).encode())


def recall(home: Home, key: str) -> RunResult | None:
    """Find the result of the run that made what is up to date now, and note that it was asked for.

    It says what is true now of the release. None where it was not kept or is damaged.
    """
    path = _path(home.path, key)
    content = _read(path)
    if content is None:
        return None
    mark_used(path)  # thaw gc keeps what a recent run refers to
    release = home.registry.get(content.release.id)
    report = ReleaseReport(id=release.id, path=release.path, champion=release.is_champion)
    return RunResult(**{name: getattr(content, name) for name in RunResult.model_fields} | {"release": report})


def read_run_records(home: Path) -> list[RunRecord]:
    """Read all remembered runs, in the order of their keys."""
    paths = entries(home / RUNS_NAME, "[!.]*.json")
    return [RunRecord(path, _read(path), disk_usage(path).modified) for path in paths]


def _read(path: Path) -> RememberedRun | None:
    with reading(path), contextlib.suppress(FileNotFoundError, IsADirectoryError, ValueError):
        return RememberedRun.from_json(path.read_bytes(), path)
    return None


def _path(home: Path, key: str) -> Path:
    return home / RUNS_NAME / f"{key}.json"
