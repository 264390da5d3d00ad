"""The deployments that `thaw serve` offers: one per recipe, with its schedule, and never two runs of it at once."""

from pathlib import Path

from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.deployments.runner import RunnerDeployment
from prefect.schedules import Cron
from prefect.types.entrypoint import EntrypointType

from thaw.flows.retrain import retrain
from thaw.pipeline_config.schema import Recipe


def deployment(recipe: Recipe, home: Path) -> RunnerDeployment:
    """Describe a recipe's deployment, which runs on demand only where there is no `schedule`.

    A run that would start while another of it is going on is cancelled: the next scheduled one will do its work.
    """
    schedule = recipe.schedule
    return RunnerDeployment.from_flow(
        retrain,
        name=recipe.name,
        parameters={"recipe": recipe.as_written(), "home": str(home)},
        schedule=None if schedule is None else Cron(schedule.cron, timezone=schedule.timezone),
        concurrency_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW),
        tags=["thaw", recipe.name],
        description=f"Retrain {recipe.name} in two stages, and use the new model if its test accuracy is higher.",
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
