"""The deployments: one per recipe, with its schedule, and never two runs of it at once; and one that cleans up.

`thaw serve` and `thaw deploy` describe them alike; what runs them differs.
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.deployments.runner import RunnerDeployment
from prefect.schedules import Schedule
from prefect.types.entrypoint import EntrypointType

from thaw.flows.automations import deployment_of, started_by_new_images
from thaw.flows.clean_up import gc
from thaw.flows.parameters import as_text, form
from thaw.flows.retrain import retrain
from thaw.pipeline_config.schedule_schema import ScheduleConfig
from thaw.pipeline_config.schema import Overlap, Recipe

_STRATEGIES: dict[Overlap, ConcurrencyLimitStrategy] = {
    "skip": ConcurrencyLimitStrategy.CANCEL_NEW,
    "queue": ConcurrencyLimitStrategy.ENQUEUE,
}


def deployment(
    recipe: Recipe, home: Path, pool: str | None = None, job_variables: Mapping[str, Any] | None = None
) -> RunnerDeployment:
    """Describe a recipe's deployment, which runs on demand only where there is no `schedule`.

    Its runs are for the workers of a pool, or, where there is none, for whoever serves it. The addresses in it are
    without secrets. What is paused in the Prefect UI stays so, the deployment or its schedule: Prefect would resume
    both.
    """
    paused, schedule_paused = _pauses(retrain.name, recipe.name)
    text = as_text(recipe)
    made = RunnerDeployment.from_flow(
        retrain,
        name=recipe.name,
        parameters={"recipe": text, "home": str(home)},
        schedule=_schedule(recipe.schedule, active=not schedule_paused) if recipe.schedule else None,
        paused=paused,
        concurrency_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=_STRATEGIES[recipe.execution.overlap]),
        triggers=[started_by_new_images(recipe.name)],
        tags=["thaw", recipe.name],
        description=f"Retrain {recipe.name} in two stages, and use the new model if it is shown to be better.",
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    made._parameter_openapi_schema = form(retrain, text)  # Prefect has no other way to give a deployment its own
    # Said also where there is none: Prefect would leave a deployment that was there in the pool where it was.
    made.work_pool_name, made.job_variables = pool, dict(job_variables or {})
    return made


def clean_up(home: Path, schedule: ScheduleConfig) -> RunnerDeployment:
    """Describe the deployment that removes by a schedule what a home folder does not need any more."""
    name = home.name.lstrip(".") or "home"
    paused, schedule_paused = _pauses(gc.name, name)
    return RunnerDeployment.from_flow(
        gc,
        name=name,
        parameters={"home": str(home)},
        schedule=_schedule(schedule, active=not schedule_paused),
        paused=paused,
        tags=["thaw"],
        description=f"Remove from {home} what no kept release and no recent run refers to.",
        entrypoint_type=EntrypointType.MODULE_PATH,
    )


def is_paused(deployment: RunnerDeployment) -> bool:
    """Say whether nothing starts by schedule, though there is one."""
    schedules = deployment.schedules or []
    return bool(schedules) and (bool(deployment.paused) or not any(schedule.active for schedule in schedules))


def started(schedule: ScheduleConfig | None, deployment: RunnerDeployment) -> str:
    """Say how the runs of a deployment start."""
    when = f"by schedule {schedule}" if schedule else "on demand"
    return when + (", which is paused until you resume it in the Prefect UI" if is_paused(deployment) else "")


def _schedule(config: ScheduleConfig, *, active: bool) -> Schedule:
    # An interval is counted from a Monday's midnight, so that its times are the same whenever it is deployed.
    monday = datetime(2024, 1, 1, tzinfo=ZoneInfo(config.timezone))
    return Schedule(
        cron=config.cron,
        interval=config.every,
        rrule=config.rrule,
        timezone=config.timezone,
        anchor_date=monday,
        active=active,
    )


def _pauses(flow: str, name: str) -> tuple[bool, bool]:
    """Ask the server whether a deployment is paused, and whether its schedule is."""
    found = deployment_of(name, flow)
    if found is None:
        return False, False
    return found.paused, bool(found.schedules) and not any(schedule.active for schedule in found.schedules)
