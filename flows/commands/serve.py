"""`thaw serve`: offer recipes as Prefect deployments until interrupted."""

import os
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from thaw.flows.addresses import keep_for_runs
from thaw.flows.commands.home import prepare_home
from thaw.flows.commands.start_prefect import set_prefect_defaults
from thaw.flows.interruption import leave_interrupts_to_prefect
from thaw.flows.served_files import note_file
from thaw.flows.server_errors import import_with_prefect, server_errors
from thaw.flows.status import is_json, shown
from thaw.pipeline_config.errors import RequestError
from thaw.pipeline_config.loading import load_recipes, shipped_recipes
from thaw.pipeline_config.schedule_schema import ScheduleConfig
from thaw.tasks.progress import say


def serve_recipes(
    recipe_names: list[str],
    overrides: tuple[str, ...],
    *,
    clean_up_cron: str | None,
    data: Path | None,
    weights: Path | None,
    home: Path | None,
) -> None:
    """Serve a deployment for each recipe; returns when interrupted.

    Whether a deployment is paused is the user's to say, in the Prefect UI: it stays as it is, at the start and at the
    end. What Prefect would do, pause at the end and resume at the start, would undo that, and would pause what another
    `thaw serve` serves.

    Raises:
        RequestError: A recipe or the times of the clean-up are wrong, or no Prefect server is set.
        ServerError: The server does not answer.
    """
    began = datetime.now(UTC)
    clean_up_schedule = None if clean_up_cron is None else _schedule_of(clean_up_cron)
    recipes = load_recipes(recipe_names, overrides, data=data, weights=weights)
    for name, recipe in zip(recipe_names, recipes, strict=True):
        if name not in shipped_recipes():
            note_file(recipe.name, Path(name))
    folder = prepare_home(home).path
    set_prefect_defaults(folder)
    import_with_prefect("thaw.flows.deployments")  # reads Prefect's settings, also a `prefect.toml` here

    from prefect import serve

    from thaw.flows import server_in_use
    from thaw.flows.deployments import clean_up, deployment, started
    from thaw.flows.late_runs import cancel_late_runs
    from thaw.flows.standby import stand_by

    server_in_use.require_lasting("thaw serve")
    # Prefect looks for modules first where a run works: here may be a user's own `thaw.py` or `keras.py`, at home not.
    os.chdir(folder)
    with shown(), server_errors():
        deployments = [deployment(recipe, folder) for recipe in recipes]
        stand_by(recipes, folder)
        for recipe, each in zip(recipes, deployments, strict=True):
            keep_for_runs(recipe)
            late = cancel_late_runs(recipe.name, recipe.schedule.catch_up, began) if recipe.schedule else 0
            cancelled = f"; late runs cancelled: {late}" if late else ""
            say(f"serving retrain/{recipe.name}, {started(recipe.schedule, each)}{cancelled}")
        if clean_up_schedule is not None:
            deployments.append(clean_up(folder, clean_up_schedule))
            say(f"serving gc/{deployments[-1].name}, {started(clean_up_schedule, deployments[-1])}")
        leave_interrupts_to_prefect()
        serve(*deployments, pause_on_shutdown=False, print_starting_message=not is_json())


def _schedule_of(cron: str) -> ScheduleConfig:
    try:
        return ScheduleConfig(cron=cron)
    except ValidationError as error:
        (wrong,) = error.errors()
        raise RequestError(f"--gc {wrong['ctx']['error']}") from error
