"""What the remembered runs in `<home>/runs` say of the order of releases, and of what a run refers to.

`thaw.flows.result` writes the files. A file is named after the key of the run's last step.
"""

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ValidationError

from thaw.tasks.artifacts.age import measure
from thaw.tasks.cleanup.entries import entries

RUNS_NAME = "runs"


class _Task(BaseModel):
    digest: str


class _Release(BaseModel):
    id: str


class RunContent(BaseModel):
    """The part of a run's result that says what it refers to.

    Attributes:
        sequence: Counts the runs of a home folder, from 1; 0 for one that was remembered without.
        tasks: The artifact of each task.
        release: The release that it made.
    """

    sequence: int = 0
    tasks: list[_Task]
    release: _Release


@dataclass(frozen=True)
class RunRecord:
    """A remembered run.

    Attributes:
        path: The file.
        content: What it says; None where it is damaged.
        modified: When it was made, or last found to be up to date.
    """

    path: Path
    content: RunContent | None
    modified: float

    @property
    def key(self) -> str:
        """The key of the run's last step, which made the release artifact."""
        return self.path.stem

    @property
    def release(self) -> str | None:
        """The id of the release that it made; None where the file is damaged."""
        return None if self.content is None else self.content.release.id


def read_run_records(home: Path) -> list[RunRecord]:
    """Read all remembered runs.

    Args:
        home: The home folder.

    Returns:
        In the order of their keys.
    """
    paths = entries(home / RUNS_NAME, "[!.]*.json")
    return [RunRecord(path, _read(path), measure(path).modified) for path in paths]


def next_sequence(home: Path) -> int:
    """Number a run that is to be remembered. The clock, which may jump, orders nothing. The caller holds a lock.

    Args:
        home: The home folder.

    Returns:
        One more than the highest number so far.
    """
    known = (record.content.sequence for record in read_run_records(home) if record.content is not None)
    return max(known, default=0) + 1


def _read(path: Path) -> RunContent | None:
    try:
        return RunContent.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
