"""The deployments that `thaw serve` offers: one per recipe, with its schedule, and never two runs of it at once."""

from pathlib import Path

from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.deployments.runner import RunnerDeployment
from prefect.schedules import Cron
from prefect.types.entrypoint import EntrypointType

from thaw.flows.addresses import keep_for_runs
from thaw.flows.retrain import retrain
from thaw.pipeline_config.messages import without_secrets
from thaw.pipeline_config.schema import Recipe


def deployment(recipe: Recipe, home: Path) -> RunnerDeployment:
    """Describe a recipe's deployment, which runs on demand only where there is no `schedule`.

    The addresses in it are without secrets; those are for the runs that this process starts.

    A run that would start while another of it is going on is cancelled: the next scheduled one will do its work.
    """
    keep_for_runs(recipe)
    schedule = recipe.schedule
    return RunnerDeployment.from_flow(
        retrain,
        name=recipe.name,
        parameters={"recipe": without_secrets(recipe.as_written()), "home": str(home)},
        schedule=None if schedule is None else Cron(schedule.cron, timezone=schedule.timezone),
        concurrency_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW),
        tags=["thaw", recipe.name],
        description=f"Retrain {recipe.name} in two stages, and use the new model if it is better.",
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
