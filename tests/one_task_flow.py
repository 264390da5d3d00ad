"""A flow of one task, whose step's child reports how far it is: what runs are made of, without TensorFlow.

`python -m tests.one_task_flow HOME SECONDS DEADLINE_SECONDS` prints a line of JSON: how the task ended.
"""

import sys
import time
from pathlib import Path
from typing import Any, ClassVar

from prefect import flow
from prefect.client.schemas.objects import State
from pydantic import BaseModel

from thaw.pipeline_config.schema import ExecutionConfig
from thaw.tasks import children
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.artifacts.step import Facts, Step
from thaw.tasks.home import Home
from thaw.tasks.pending_step import PendingStep
from thaw.tasks.process import Reporter, Work
from thaw.tasks.progress import Event, subscribed
from thaw.tasks.task import build_in_child, step_task, with_execution

BETWEEN_LINES = 0.1  # seconds


class LongStep(Step):
    kind: ClassVar[str] = "long"
    work: ClassVar[str] = "tests.one_task_flow:work_for_long"
    libraries: ClassVar[tuple[str, ...]] = ()

    seconds: float


class LongWork(Work):
    step: LongStep


class Outcome(BaseModel):
    """How it ended: the state's type, the error's class, how many attempts there were, and what was said."""

    state: str
    error: str
    attempts: int
    warnings: list[str]


def work_for_long(work: LongWork, report: Reporter) -> Facts:
    lines = round(work.step.seconds / BETWEEN_LINES)
    for number in range(lines):
        report.progress(number / lines, f"line {number} of {lines}")
        report.log(f"line {number}")
        time.sleep(BETWEEN_LINES)
    report.progress(1, "done")
    (work.folder / "made").write_text("made")
    return Facts()


@step_task("long", "data")
def be_long(step: LongStep, home: Home, execution: ExecutionConfig) -> ArtifactRef:
    with (home.path / "attempts").open("a") as file:
        file.write("one\n")
    return build_in_child("long", step, LongWork, home, execution)


@flow
def one_task(home: Path, seconds: float, deadline: float) -> Outcome:
    execution = ExecutionConfig(deadline_minutes=deadline / 60, retries=2, retry_delay_seconds=0)
    opened, events = Home.open(home), list[Event]()
    with subscribed(events.append):
        pending = PendingStep(lambda: LongStep(seconds=seconds), opened)
        call: Any = with_execution(be_long, execution, ())  # typed by hand, as in flows/task_runner.py
        state: State[Any] = call(pending, opened, execution, return_state=True)
    return Outcome(
        state=state.type.value,
        error="" if state.is_completed() else type(state.result(raise_on_failure=False)).__name__,
        attempts=len((home / "attempts").read_text().splitlines()),
        warnings=[event.text for event in events if event.kind == "warning"],
    )


if __name__ == "__main__":
    setattr(children, "_IMPORTED_EARLY", ())  # noqa: B010 (this step needs no Keras)
    folder = Path(sys.argv[1])
    folder.mkdir()
    sys.stdout.write(one_task(folder, float(sys.argv[2]), float(sys.argv[3])).model_dump_json())
