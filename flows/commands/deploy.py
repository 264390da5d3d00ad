"""`thaw deploy`: give recipes as deployments to a work pool of Prefect's, whose workers run them."""

from pathlib import Path

import typer

from thaw.flows.addresses import VARIABLE, holds_secrets
from thaw.flows.commands.home import open_home
from thaw.flows.commands.start_prefect import prefect_defaults, set_prefect_defaults
from thaw.flows.server_errors import import_with_prefect, prefect_command, server_errors
from thaw.pipeline_config.loading import load_recipes
from thaw.pipeline_config.messages import word
from thaw.pipeline_config.schema import Recipe


def deploy_recipes(
    recipe_names: list[str],
    overrides: tuple[str, ...],
    *,
    pool: str,
    image: str | None,
    data: Path | None,
    weights: Path | None,
    home: Path | None,
) -> None:
    """Make a deployment of each recipe, or change the one that is there, and print what runs it.

    The home folder is that of the workers' machines, so it need not be here.

    Raises:
        RequestError: A recipe, the pool or the image is wrong, or no Prefect server is set.
        ServerError: The server does not answer, or refuses a deployment.
    """
    recipes = load_recipes(recipe_names, overrides, data=data, weights=weights)
    folder = open_home(home).path
    set_prefect_defaults(folder)
    import_with_prefect("thaw.flows.deployments")

    from thaw.flows import server_in_use
    from thaw.flows.deployments import deployment, started
    from thaw.flows.standby import set_up_automations
    from thaw.flows.work_pools import find_pool, job_variables

    server_in_use.require_lasting("thaw deploy")
    with server_errors():
        found = find_pool(pool)
        variables = [job_variables(found, recipe, folder, image, prefect_defaults(folder)) for recipe in recipes]
        for recipe, needed in zip(recipes, variables, strict=True):
            made = deployment(recipe, folder, pool, needed)
            made.apply()
            set_up_automations([recipe])
            typer.echo(
                f"deployed retrain/{recipe.name} to the work pool {word(pool)}, {started(recipe.schedule, made)}"
            )
            for warning in _warnings(recipe):
                typer.echo(f"thaw: warning: {warning}", err=True)
    typer.echo(f"Its workers start the runs. One is started by: {prefect_command()} worker start --pool {word(pool)}")


def _warnings(recipe: Recipe) -> list[str]:
    found = []
    if holds_secrets(recipe):
        found.append(
            f"the address of {recipe.name}'s images holds a secret, which no deployment may. Set {VARIABLE} where its "
            f'runs start, to a JSON document: {{"{recipe.name}": the whole dataset.source of the recipe}}.'
        )
    if recipe.schedule is not None and "catch_up" in recipe.schedule.model_fields_set:
        found.append(f"schedule.catch_up of {recipe.name} is for thaw serve alone: a worker starts all that is late.")
    if recipe.retrain.on:
        found.append(f"retrain.on of {recipe.name} is for thaw serve alone: elsewhere, thaw notify dataset says it.")
    return found
