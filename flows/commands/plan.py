"""`thaw plan`: what a run would do, and why, without doing it."""

import json
from collections.abc import Collection
from pathlib import Path

import typer

from thaw.flows.commands.console import plain_table, result_console
from thaw.flows.commands.home import open_home
from thaw.flows.plan import plan
from thaw.pipeline_config.schema import Recipe


def print_plan(recipe: Recipe, refresh: Collection[str], folder: Path | None, *, verify: bool, as_json: bool) -> None:
    """Print a line for each task of a run; with `verify`, files that seem unchanged are read, too."""
    home = open_home(folder)
    if verify:
        home.digests.forget()
    tasks = plan(recipe, home, refresh).tasks
    if as_json:
        typer.echo(json.dumps([task.model_dump(mode="json") for task in tasks], indent=1))
        return
    table = plain_table("task", "", "why")
    for task in tasks:
        state = "cached" if task.cached else "would run" if task.needed else "not needed"
        table.add_row(task.name, state, "\n".join(task.reasons))
    result_console().print(table)
