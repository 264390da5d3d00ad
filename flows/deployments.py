"""The deployments that `thaw serve` offers: one per recipe, with its schedule, and never two runs of it at once."""

from pathlib import Path

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectNotFound
from prefect.schedules import Cron
from prefect.types.entrypoint import EntrypointType

from thaw.flows.addresses import keep_for_runs
from thaw.flows.automations import started_by_new_images
from thaw.flows.parameters import as_text, form
from thaw.flows.retrain import retrain
from thaw.pipeline_config.schema import Recipe


def deployment(recipe: Recipe, home: Path) -> RunnerDeployment:
    """Describe a recipe's deployment, which runs on demand only where there is no `schedule`.

    The addresses in it are without secrets; those are for the runs that this process starts.

    A run that would start while another of it is going on is cancelled: the next scheduled one will do its work. What
    is paused in the Prefect UI stays so, the deployment or its schedule: Prefect would resume both.
    """
    keep_for_runs(recipe)
    schedule = recipe.schedule
    paused, schedule_paused = _pauses(recipe.name)
    text = as_text(recipe)
    made = RunnerDeployment.from_flow(
        retrain,
        name=recipe.name,
        parameters={"recipe": text, "home": str(home)},
        schedule=Cron(schedule.cron, timezone=schedule.timezone, active=not schedule_paused) if schedule else None,
        paused=paused,
        concurrency_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW),
        triggers=[started_by_new_images(recipe.name)],
        tags=["thaw", recipe.name],
        description=f"Retrain {recipe.name} in two stages, and use the new model if it is shown to be better.",
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    made._parameter_openapi_schema = form(retrain, text)  # Prefect has no other way to give a deployment its own
    return made


def is_paused(deployment: RunnerDeployment) -> bool:
    """Say whether nothing starts by schedule, though there is one."""
    schedules = deployment.schedules or []
    return bool(schedules) and (bool(deployment.paused) or not any(schedule.active for schedule in schedules))


def _pauses(name: str) -> tuple[bool, bool]:
    """Ask the server whether a recipe's deployment is paused, and whether its schedule is."""
    try:
        found = get_client(sync_client=True).read_deployment_by_name(f"{retrain.name}/{name}")
    except ObjectNotFound:
        return False, False
    return found.paused, bool(found.schedules) and not any(schedule.active for schedule in found.schedules)
