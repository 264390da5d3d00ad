"""`thaw plan`: what a run would do, and why, without doing it."""

import json
from pathlib import Path

import typer
from rich.table import Table

from flows.commands.console import result_console
from flows.commands.home import resolve_home
from flows.plan import plan
from pipeline_config.loading import load_recipe


def print_plan(
    recipe_name: str,
    overrides: tuple[str, ...],
    *,
    data: Path | None,
    weights: Path | None,
    home: Path | None,
    as_json: bool,
) -> None:
    """Print a line for each task of a run.

    Args:
        recipe_name: Name or file of a recipe.
        overrides: KEY=VALUE strings.
        data: A folder that takes the place of the recipe's source.
        weights: A file that takes the place of the recipe's weights.
        home: `--home`, if it was given.
        as_json: Print one JSON document.

    Raises:
        ThawError: The request was wrong.
    """
    recipe = load_recipe(recipe_name, overrides, data=data, weights=weights)
    tasks = plan(recipe, resolve_home(home)).tasks
    if as_json:
        typer.echo(json.dumps([task.model_dump(mode="json") for task in tasks], indent=1))
        return
    table = Table("task", "", "why", box=None, pad_edge=False)
    for task in tasks:
        table.add_row(task.name, "cached" if task.cached else "would run", "\n".join(task.reasons))
    result_console().print(table)
