"""Finds runs whose process was killed, and tells Prefect, which would show them as Running for ever.

Each run of a home folder holds a lock on a file of its own, which the kernel frees when its process dies. A run that
starts looks for files that nobody holds.
"""

import fcntl
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from filelock import FileLock
from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.settings import get_current_settings
from prefect.states import Crashed

from thaw.flows import kept_log
from thaw.flows.temporary_server import runs_on_temporary_server

Hook = Callable[[Any, Any, Any], None]

_DESCRIPTORS: dict[UUID, int] = {}  # open for as long as this process lives, or the run goes on


def hooks(*on_crash: Hook, on_failure: Sequence[Hook] = ()) -> dict[str, Any]:
    """Make the options of a flow by which its runs are known to be active until they end, and have a log."""
    over = [kept_log.end, end]
    ends = {
        "on_completion": over,
        "on_failure": [*on_failure, *over],
        "on_cancellation": over,
        "on_crashed": [*on_crash, *over],
    }
    return {"on_running": [kept_log.begin, begin], **ends}


def begin(flow: Any, flow_run: Any, state: Any) -> None:
    """Mark a run as active, and those whose process is gone as crashed. A hook of Prefect's, on running."""
    folder = _folder(flow_run)
    folder.mkdir(parents=True, exist_ok=True)
    # One at a time: between making the file and locking it, it looks like that of a dead run.
    with FileLock(folder.parent / "active.lock"):
        descriptor = os.open(folder / f"{flow_run.id}.lock", os.O_RDWR | os.O_CREAT, 0o644)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(descriptor, _server().encode())
        _DESCRIPTORS[flow_run.id] = descriptor
        _report_dead_runs(folder)


def end(flow: Any, flow_run: Any, state: Any) -> None:
    """Mark a run as over. A hook of Prefect's, called when the run's last state is known to the server."""
    (_folder(flow_run) / f"{flow_run.id}.lock").unlink(missing_ok=True)
    descriptor = _DESCRIPTORS.pop(flow_run.id, None)
    if descriptor is not None:
        os.close(descriptor)


def report_tasks_as_crashed(flow: Any, flow_run: Any, state: Any) -> None:
    """Say of tasks in other threads that they end with the run, which has crashed. A hook of Prefect's, on crashed."""
    _report_tasks(get_client(sync_client=True), flow_run.id, Crashed(message="The run was interrupted."))


def _folder(flow_run: Any) -> Path:
    return Path(flow_run.parameters["home"]).absolute() / "runs" / "active"


def _server() -> str:
    # A run is known only to its own server. Temporary ones share a database, by default that of Prefect's home.
    settings = get_current_settings()
    return f"temporary, {settings.home}" if runs_on_temporary_server() else str(settings.api.url)


def _report_dead_runs(folder: Path) -> None:
    for path in sorted(folder.glob("*.lock")):
        with path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue  # its process lives
            if file.read() != _server():
                continue
            _report_as_crashed(UUID(path.stem))
            path.unlink(missing_ok=True)


def _report_as_crashed(run: UUID) -> None:
    client = get_client(sync_client=True)
    crashed: Any = Crashed(message="The process of this run is gone: killed, or lost with its machine.")
    for flow_run in client.read_flow_runs(flow_run_filter=_only(run)):  # none where it was deleted in the UI
        if flow_run.state is None or not flow_run.state.is_final():
            _report_tasks(client, run, crashed)
            client.set_flow_run_state(run, crashed, force=True)


def _report_tasks(client: SyncPrefectClient, run: UUID, crashed: Any) -> None:
    for task_run in client.read_task_runs(flow_run_filter=_only(run)):
        if task_run.state is None or not task_run.state.is_final():
            client.set_task_run_state(task_run.id, crashed, force=True)


def _only(run: UUID) -> FlowRunFilter:
    return FlowRunFilter(id=FlowRunFilterId(any_=[run]))
