"""The events that thaw sends to Prefect's server: all of one shape, and what each says.

Of each the resource is `thaw.recipe.<recipe>`, the run that sends it, if one does, is related, and the payload holds
the recipe, the run's id, and the event's own facts. `docs/operations.md` lists them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal
from uuid import UUID, uuid5

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext
from prefect.events import Event

from thaw.flows.parameters import name_in
from thaw.pipeline_config.messages import one_line
from thaw.tasks.releases.verdict import Verdict
from thaw.tasks.task import only_shown

DATASET_CHANGED = "thaw.dataset.changed"
RUN_FAILED = "thaw.run.failed"

BecameOfRelease = Literal["promoted", "kept", "waiting"]
Noticed = Literal["folder", "by hand"]

_at: ContextVar[str | None] = ContextVar("at", default=None)


def resource_of(recipe: str) -> str:
    """Name a recipe as its events do."""
    return f"thaw.recipe.{recipe}"


@contextmanager
def at_task(name: str) -> Iterator[None]:
    """Note which task a block runs; where it fails, that it was this one."""
    before = _at.set(name)
    yield
    _at.reset(before)


def tell_dataset_changed(recipe: str, noticed: Noticed) -> None:
    """Say that a recipe's images are others now, and how that was noticed; raises what a request to the server does."""
    _send(DATASET_CHANGED, recipe, None, {"noticed": noticed})


def release_event(became: BecameOfRelease) -> str:
    """Name the event that says what became of a new model."""
    return f"thaw.release.{became}"


def tell_of_release(became: BecameOfRelease, recipe: str, release: str, verdict: Verdict) -> None:
    """Say what became of the new model of the run that is going on, or that it waits for somebody; and the verdict."""
    with only_shown("publish", "an event"):
        context = FlowRunContext.get()
        run = None if context is None else context.flow_run
        _send(release_event(became), recipe, run, {"release": release, **verdict.model_dump(mode="json")})


def tell_of_failure(flow: Any, flow_run: Any, state: Any) -> None:
    """Say that a run failed or crashed, and in which task. A hook of Prefect's, which logs what it raises.

    Of a run that was killed, the process of `thaw serve` says it, which knows no task.
    """
    recipe = name_in(flow_run.parameters["recipe"])
    raised = state.result(raise_on_failure=False)
    error = one_line(str(raised) if isinstance(raised, BaseException) else state.message or state.name)
    _send(RUN_FAILED, recipe, flow_run, {"state": state.name, "error": error, "task": _at.get()})


def _send(event: str, recipe: str, run: FlowRun | None, facts: dict[str, Any]) -> None:
    """Hand an event to the server, and wait until it has it.

    Prefect's own `emit_event` leaves that to a thread, which keeps its errors to itself, and gets no time where a
    process is ended. An event of a run has an id of its own, so that one that is sent twice counts once.
    """
    of_run = run and {
        "prefect.resource.id": f"prefect.flow-run.{run.id}",
        "prefect.resource.role": "flow-run",
        "prefect.resource.name": run.name,
    }
    known: dict[str, UUID] = {} if run is None else {"id": uuid5(run.id, event)}
    sent = Event(
        event=event,
        resource={"prefect.resource.id": resource_of(recipe), "prefect.resource.name": recipe},
        related=[of_run] if of_run else [],
        payload={"recipe": recipe, "run": run and str(run.id), **facts},
        **known,
    )
    with get_client(sync_client=True) as client:
        client.request("POST", "/events", json=[sent.model_dump(mode="json")]).raise_for_status()
