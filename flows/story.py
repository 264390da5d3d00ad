"""What a run tells in Prefect of how it came out: its name, the name of its last state, and an event."""

from typing import cast

from prefect import runtime
from prefect.client.orchestration import get_client
from prefect.events import emit_event
from prefect.states import Completed

from thaw.tasks.releases.verdict import Verdict
from thaw.tasks.runs import RunResult
from thaw.tasks.task import only_shown

WAITING = "Waiting for approval"
NOTHING_NEW = "Nothing new"

_OWN_STATES = ("not shown", "not comparable", "vetoed")  # of the outcomes that leave the champion as it is


def state_of(verdict: Verdict, *, is_champion: bool) -> str:
    """Name the last state of a run after what became of its model."""
    if is_champion:
        return "Promoted"
    stayed_out = verdict.verdict in _OWN_STATES and not verdict.promote  # else a person declined it
    return verdict.verdict.capitalize() if stayed_out else "Kept"


def rename_run(recipe: str, verdict: Verdict, state: str) -> None:
    """Name the run that is going on after how it comes out, as in "flowers: 0.943 (+0.014), promoted"."""
    difference = f" ({verdict.compared.difference:+.3f})" if verdict.champion and verdict.compared else ""
    name_run(f"{recipe}: {verdict.candidate.accuracy:.3f}{difference}, {state.lower()}")


def name_run(name: str) -> None:
    """Name the run that is going on."""
    with only_shown("retrain", "the run's name"), get_client(sync_client=True) as client:
        client.update_flow_run(runtime.flow_run.id, name=name)


def emit_outcome(result: RunResult, verdict: Verdict) -> None:
    """Tell Prefect's automations what became of a new model; the event holds the verdict."""
    with only_shown("retrain", "the event"):
        emit_event(
            "thaw.release.promoted" if result.release.champion else "thaw.release.kept",
            resource={"prefect.resource.id": f"thaw.recipe.{result.recipe}", "prefect.resource.name": result.recipe},
            payload={"release": result.release.id, **verdict.model_dump(mode="json")},
        )


def completed(result: RunResult, state: str) -> RunResult:
    """Make the last state of a run: Prefect shows it with the verdict's sentence, and takes the result from it."""
    return cast(RunResult, Completed(name=state, message=result.reason, data=result))
