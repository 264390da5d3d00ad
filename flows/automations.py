"""What Prefect's server does by itself for a recipe that `thaw serve` serves, each thing an automation of its.

They are thaw's: named after the recipe, and changed in place where they are to be others. One that the user has
disabled is left alone.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.events import DeploymentEventTrigger, EventTrigger
from prefect.events.actions import ActionTypes, ChangeFlowRunState, DoNothing, SendNotification
from prefect.events.schemas.automations import AutomationCore, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.exceptions import ObjectNotFound
from prefect.settings import get_current_settings

from thaw.flows.events import DATASET_CHANGED, BecameOfRelease, release_event, resource_of
from thaw.flows.story import FLOW, LAST_STATES
from thaw.pipeline_config.schema import Recipe

_MISSED_HEARTBEATS = 3  # Prefect's documentation: at least so many times the pause between two
_FINAL = ("Completed", "Failed", "Crashed", "Cancelled", *LAST_STATES)
# Templates of Prefect's.
_RUN = "{{ flow_run.name }}: {{ flow_run.state.message }}\n\n{{ flow_run|ui_url }}"
_MODEL = "{{ event.payload.reason }}\n\n{{ event.payload.release }}, {{ flow_run|ui_url }}"


def deployment_of(name: str, flow: str = FLOW) -> DeploymentResponse | None:
    """Find a deployment, that of a recipe unless another flow is named, if the server has one."""
    try:
        with get_client(sync_client=True) as client:
            return client.read_deployment_by_name(f"{flow}/{name}")
    except ObjectNotFound:
        return None


def started_by_new_images(recipe: str) -> DeploymentEventTrigger:
    """Make the trigger that starts a run when a recipe's images have changed.

    Prefect makes it anew with the deployment; one that the user has disabled stays so.
    """
    name = _name(recipe, "new images")
    with get_client(sync_client=True) as client:
        existing = client.read_automations_by_name(name)
    return DeploymentEventTrigger(
        name=name,
        description=f"Starts a run when the images of {recipe} have changed ({DATASET_CHANGED}).",
        enabled=all(automation.enabled for automation in existing),
        expect={DATASET_CHANGED},
        match=_of_recipe(recipe),
    )


def set_up(recipe: Recipe, told: Sequence[UUID]) -> None:
    """Make a recipe's automations what they are to be; `told` are the ids of the notification blocks to use."""
    with get_client(sync_client=True) as client:
        for what, wanted in _automations(recipe, told).items():
            _set_up_one(client, _name(recipe.name, what), wanted)


def _set_up_one(client: SyncPrefectClient, name: str, wanted: AutomationCore | None) -> None:
    existing = client.read_automations_by_name(name)
    if any(not automation.enabled for automation in existing):
        return
    if wanted is None:
        for automation in existing:
            client.delete_automation(automation.id)
    elif not existing:
        client.create_automation(wanted)
    # Only where it is another: what it has counted so far, such as days without a model, begins anew then.
    elif _content(existing[0]) != _content(wanted):
        client.update_automation(existing[0].id, AutomationCore.model_validate(_content(wanted)))  # with all its fields


def _content(automation: AutomationCore) -> dict[str, Any]:
    return automation.model_dump(include=AutomationCore.model_fields.keys() - {"owner_resource"})


def _automations(recipe: Recipe, told: Sequence[UUID]) -> dict[str, AutomationCore | None]:
    """Describe a recipe's automations; None is one that is not wanted.

    Where nobody is told, the server notes in its feed of events what is wrong, and nothing else.
    """

    def tell(what: str, subject: str, body: str, trigger: EventTrigger) -> AutomationCore:
        subject = f"{recipe.name}: {subject}"
        notes = [SendNotification(block_document_id=block, subject=subject, body=body) for block in told]
        return _automation(recipe.name, what, trigger, notes or [DoNothing()])

    def release(became: BecameOfRelease) -> EventTrigger:
        return EventTrigger(expect={release_event(became)}, match=_of_recipe(recipe.name))

    days, heartbeat = recipe.retrain.stale_after_days, get_current_settings().flows.heartbeat_frequency
    return {
        "lost runs": None if heartbeat is None else _lost_runs(recipe.name, _MISSED_HEARTBEATS * heartbeat),
        "failed": tell("failed", "a run failed", _RUN, _runs(recipe.name, expect=_states("Failed", "Crashed"))),
        "stale": None if days is None else tell("stale", "no new model", _no_model(days), _stale(recipe.name, days)),
        "promoted": tell("promoted", "a new model is in use", _MODEL, release("promoted")) if told else None,
        "waiting": tell("waiting", "a new model waits for approval", _MODEL, release("waiting")) if told else None,
    }


def _lost_runs(recipe: str, seconds: float) -> AutomationCore:
    """Of a run whose process is lost with its machine, nobody else says that it crashed."""
    heartbeat = "prefect.flow-run.heartbeat"
    trigger = _runs(
        recipe,
        posture=Posture.Proactive,
        after={heartbeat},
        expect={heartbeat, *_states(*_FINAL)},
        within=timedelta(seconds=seconds),
    )
    message = f"The run gave no sign of life for {seconds:g} seconds: its process, or its machine, is gone."
    crash = ChangeFlowRunState(name="Crashed", state=StateType.CRASHED, message=message)
    return _automation(recipe, "lost runs", trigger, [crash])


def _stale(recipe: str, days: float) -> EventTrigger:
    return EventTrigger(
        posture=Posture.Proactive,
        expect={release_event("promoted"), release_event("kept")},
        match=_of_recipe(recipe),
        within=timedelta(days=days),
    )


def _no_model(days: float) -> str:
    return f"No run had a new model for {days:g} days, promoted or kept (retrain.stale_after_days)."


def _runs(recipe: str, **options: Any) -> EventTrigger:
    """Look at each run of a recipe's deployment by itself: from its tags Prefect's server knows whose it is."""
    return EventTrigger(
        match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
        match_related=[
            ResourceSpecification({"prefect.resource.role": "flow", "prefect.resource.name": FLOW}),
            ResourceSpecification({"prefect.resource.role": "tag", "prefect.resource.id": f"prefect.tag.{recipe}"}),
        ],
        for_each={"prefect.resource.id"},
        **options,
    )


def _states(*names: str) -> set[str]:
    return {f"prefect.flow-run.{name}" for name in names}


def _of_recipe(recipe: str) -> ResourceSpecification:
    return ResourceSpecification({"prefect.resource.id": resource_of(recipe)})


def _automation(recipe: str, what: str, trigger: EventTrigger, actions: Sequence[ActionTypes]) -> AutomationCore:
    return AutomationCore(
        name=_name(recipe, what),
        description="Made by thaw serve, and kept as it is to be, unless you disable it.",
        trigger=trigger,
        actions=list(actions),
        tags=["thaw", recipe],
    )


def _name(recipe: str, what: str) -> str:
    return f"thaw: {recipe}, {what}"
