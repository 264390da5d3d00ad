"""`thaw serve`: offer recipes as Prefect deployments until interrupted."""

import os
from pathlib import Path

from rich.console import Console

from thaw.flows.commands.home import prepare_home
from thaw.flows.commands.start_prefect import prefect_command, set_prefect_defaults
from thaw.pipeline_config.errors import RequestError
from thaw.pipeline_config.loading import load_recipes


def serve_recipes(recipe_names: list[str], *, data: Path | None, weights: Path | None, home: Path | None) -> None:
    """Serve a deployment for each recipe; returns when interrupted.

    Raises:
        RequestError: A recipe is wrong, or no Prefect server is set.
    """
    recipes = load_recipes(recipe_names, data=data, weights=weights)
    folder = prepare_home(home).path
    if "PREFECT_API_URL" not in os.environ:
        raise RequestError(
            f"thaw serve needs a Prefect server that outlives it. Start one with `{prefect_command()} server start`, "
            "then set PREFECT_API_URL=http://127.0.0.1:4200/api."
        )
    set_prefect_defaults(folder)

    from prefect import serve  # reads Prefect's settings, also a `prefect.toml` here

    from thaw.flows.deployments import deployment

    console = Console(stderr=True, highlight=False)
    for recipe in recipes:
        when = f"by schedule {recipe.schedule.cron} ({recipe.schedule.timezone})" if recipe.schedule else "on demand"
        console.print(f"thaw: serving retrain/{recipe.name}, {when}", soft_wrap=True)
    # Prefect looks for modules first where a run works: here may be a user's own `thaw.py` or `keras.py`, at home not.
    os.chdir(folder)
    serve(*(deployment(recipe, folder) for recipe in recipes))
