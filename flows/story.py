"""What a run tells in Prefect of how it came out: its name, its tags and the name of its last state."""

from typing import Any, cast

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext
from prefect.states import Completed, Failed

from thaw.pipeline_config.errors import ThawError
from thaw.tasks.releases.verdict import Verdict
from thaw.tasks.runs import RunResult
from thaw.tasks.task import only_shown

FLOW = "retrain"

WAITING = "Waiting for approval"
NOTHING_NEW = "Nothing new"

_OWN_STATES = ("not shown", "not comparable", "vetoed")  # of the outcomes that leave the champion as it is
# How a run that did what it was asked ends, where not as Prefect's Completed.
LAST_STATES = ("Promoted", "Kept", *(state.capitalize() for state in _OWN_STATES), WAITING, NOTHING_NEW)


def state_of(verdict: Verdict, *, is_champion: bool) -> str:
    """Name the last state of a run after what became of its model."""
    if is_champion:
        return "Promoted"
    stayed_out = verdict.verdict in _OWN_STATES and not verdict.promote  # else a person declined it
    return verdict.verdict.capitalize() if stayed_out else "Kept"


def trigger_of(run: FlowRun) -> str:
    """Say what started a run: its schedule, an event that an automation answers, or somebody."""
    if run.auto_scheduled:
        return "schedule"
    return "event" if run.created_by is not None and run.created_by.type == "AUTOMATION" else "by hand"


def begin(recipe: str) -> None:
    """Give the run that is going on its first tags, by which the list of runs can be sifted: recipe and trigger."""
    with only_shown("retrain", "the run's tags"):
        _tell_of(run := _this_run(), tags={*run.tags, recipe, trigger_of(run)})


def outcome(recipe: str, verdict: Verdict, state: str) -> str:
    """Say in short how a run comes out, as in "flowers: 0.943 (+0.014), promoted"."""
    difference = f" ({verdict.compared.difference:+.3f})" if verdict.champion and verdict.compared else ""
    return f"{recipe}: {verdict.candidate.accuracy:.3f}{difference}, {state.lower()}"


def rename_run(recipe: str, verdict: Verdict, state: str) -> None:
    """Name the run that is going on after how it comes out; its tags get the verdict, where this run has made it."""
    with only_shown("retrain", "the run's name"):
        run = _this_run()
        verdicts = set() if state == NOTHING_NEW else {verdict.verdict}
        tags = {*run.tags, recipe, trigger_of(run), *verdicts}
        _tell_of(run, name=outcome(recipe, verdict, state), tags=tags)


def name_run(recipe: str, name: str) -> None:
    """Name the run that is going on, where it has made no verdict."""
    with only_shown("retrain", "the run's name"):
        run = _this_run()
        _tell_of(run, name=name, tags={*run.tags, recipe, trigger_of(run)})


def _this_run() -> FlowRun:
    """The run that is going on, as it was when it began."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        raise LookupError("no run is going on")
    return context.flow_run


def _tell_of(run: FlowRun, *, tags: set[str], **changes: Any) -> None:
    with get_client(sync_client=True) as client:
        client.update_flow_run(run.id, tags=sorted(tags), **changes)


def completed(result: RunResult, state: str) -> RunResult:
    """Make the last state of a run: Prefect shows it with the verdict's sentence, and takes the result from it."""
    return cast(RunResult, Completed(name=state, message=result.reason, data=result))


def refused(error: ThawError) -> RunResult:
    """Make the last state of a run that was asked for what cannot be: its message is the error's line, as it is."""
    return cast(RunResult, Failed(message=str(error)))
