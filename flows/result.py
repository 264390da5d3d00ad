"""The result of a run: the document that `thaw run --json` prints, and its copy in the home folder. No Prefect."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from thaw.tasks.artifacts.age import mark_used
from thaw.tasks.artifacts.atomic import make_folder, write_atomically
from thaw.tasks.artifacts.store import ArtifactStore
from thaw.tasks.cleanup.run_records import RUNS_NAME, next_sequence
from thaw.tasks.releases.registry import Registry


class TaskReport(BaseModel):
    """One task of a run.

    Attributes:
        name: The task's name.
        state: Prefect's state type, in lower case.
        cached: Whether the artifact was there already.
        seconds: Wall time, with retries.
        digest: The artifact's digest.
    """

    name: str
    state: str
    cached: bool
    seconds: float
    digest: str


class StageReport(BaseModel):
    """One stage of a run.

    Attributes:
        name: The stage's name.
        epochs: Epochs that were run.
        kept_epoch: The epoch whose weights are kept; 0 is the state before the first step.
        val_accuracy_before: Validation accuracy before the first step.
        val_accuracy: Validation accuracy of the kept weights.
        weights_sha256: Digest of the kept weights.
    """

    name: str
    epochs: int
    kept_epoch: int
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


class _Remembered(RunResult):
    sequence: int  # which of two releases was made last, whatever the clock says


def remember(home: Path, key: str, result: RunResult) -> None:
    """Keep a run's result, for a later run that finds nothing to do.

    Args:
        home: The home folder.
        key: The key of the run's last step, which depends on all the others.
        result: The result.

    Raises:
        ArtifactError: The home folder cannot be written.
    """
    path = _path(home, key)
    make_folder(path.parent)
    with ArtifactStore(home).lock("runs"):  # two runs that end at once have numbers of their own
        remembered = _Remembered(**result.model_dump(), sequence=next_sequence(home))
        write_atomically(path, remembered.model_dump_json(indent=1).encode())


def recall(home: Path, key: str) -> RunResult | None:
    """Find the result of the run that made what is up to date now, and note that it was asked for.

    Args:
        home: The home folder.
        key: The key of the run's last step.

    Returns:
        The result, with what is true now of the release; None where it was not kept or is damaged.
    """
    try:
        result = RunResult.model_validate_json(_path(home, key).read_bytes())
    except (OSError, ValidationError):
        return None
    mark_used(_path(home, key))  # thaw gc keeps what a recent run refers to
    release = Registry(home).get(result.release.id)
    report = ReleaseReport(id=release.id, path=release.path, champion=release.is_champion)
    return result.model_copy(update={"release": report})


def _path(home: Path, key: str) -> Path:
    return home / RUNS_NAME / f"{key}.json"
