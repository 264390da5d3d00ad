"""Keeps the log of a run in the home folder, from its first state to its last: hooks of Prefect's flows.

Every run has it, also one of `thaw serve`: there nobody looks at a terminal.
"""

from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import UUID

from thaw.tasks.progress import Event, Kind, belongs_to, emit, subscribed
from thaw.tasks.run_logs import RunLog

_OPEN: dict[UUID, ExitStack] = {}  # of the runs that go on in this process


def begin(flow: Any, flow_run: Any, state: Any) -> None:
    """Keep what this process says from now on. A hook of Prefect's, on running."""
    if flow_run.id in _OPEN:  # it goes on after a pause
        return
    log = RunLog(Path(flow_run.parameters["home"]).absolute(), str(flow_run.id))
    stack = _OPEN[flow_run.id] = ExitStack()
    stack.callback(log.close)
    stack.enter_context(subscribed(log))
    belongs_to(run=str(flow_run.id))
    emit(Event("", "detail", f"the run {flow_run.name} of the flow {flow.name} begins"))


def end(flow: Any, flow_run: Any, state: Any) -> None:
    """Keep how the run ended, and no more. A hook of Prefect's, called when the run's last state is known."""
    stack = _OPEN.pop(flow_run.id, None)
    if stack is not None:
        with stack:
            kind: Kind = "detail" if state.is_completed() else "error"
            emit(Event("", kind, f"{state.name}: {state.message or 'no more is known'}"))
