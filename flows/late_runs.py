"""What becomes of the runs of a schedule that came due while nothing was there to start them.

Prefect keeps them as Late, and has all of them started once somebody serves the deployment again.
"""

from datetime import datetime, timedelta

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterName,
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateName,
)
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort
from prefect.states import Cancelled

from thaw.flows.retrain import retrain
from thaw.pipeline_config.schedule_schema import CatchUp

_TOLERANCE = timedelta(minutes=1)  # somebody else who serves the recipe looks for due runs every ten seconds
_NOT_TRIED = ["Scheduled", "Late"]  # one that waits in the queue of `execution.overlap` has another state
_STAY: dict[CatchUp, int] = {"latest": 1, "none": 0}


def cancel_late_runs(recipe: str, catch_up: CatchUp, since: datetime) -> int:
    """Cancel the runs of a recipe's schedule that came due before a time, but for those that are made up for.

    Runs that somebody asked for stay. Returns how many were cancelled.
    """
    due = [run for run in _waiting(recipe, before=since) if run.auto_scheduled]
    late = [run for run in due[_STAY[catch_up] :] if (run.expected_start_time or since) < since - _TOLERANCE]
    client = get_client(sync_client=True)
    for run in late:
        message = f"Due while nothing served it; schedule.catch_up is {catch_up}."
        client.set_flow_run_state(run.id, Cancelled(message=message))
    return len(late)


def _waiting(recipe: str, *, before: datetime) -> list[FlowRun]:
    """List the runs of a deployment that were due before a time and have not begun, the newest first."""
    client = get_client(sync_client=True)
    found: list[FlowRun] = []
    while True:
        page = client.read_flow_runs(
            flow_filter=FlowFilter(name=FlowFilterName(any_=[retrain.name])),
            deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=[recipe])),
            flow_run_filter=FlowRunFilter(
                state=FlowRunFilterState(name=FlowRunFilterStateName(any_=_NOT_TRIED)),
                expected_start_time=FlowRunFilterExpectedStartTime(before_=before),
            ),
            sort=FlowRunSort.EXPECTED_START_TIME_DESC,
            offset=len(found),
        )
        found += page
        if not page:
            return found
