"""`thaw plan`: what a run would do, and why, without doing it."""

import json

import typer
from rich.table import Table

from thaw.flows.commands.console import result_console
from thaw.flows.commands.home import open_home
from thaw.flows.commands.request import RunRequest
from thaw.flows.plan import plan


def print_plan(request: RunRequest, *, as_json: bool) -> None:
    """Print a line for each task of a run.

    Args:
        request: Which run.
        as_json: Print one JSON document.

    Raises:
        ThawError: The request was wrong.
    """
    recipe, refresh, home = request.load_recipe(), request.tasks_to_refresh(), open_home(request.home)
    request.prepare_digests(home)
    tasks = plan(recipe, home, refresh).tasks
    if as_json:
        typer.echo(json.dumps([task.model_dump(mode="json") for task in tasks], indent=1))
        return
    table = Table("task", "", "why", box=None, pad_edge=False)
    for task in tasks:
        table.add_row(task.name, "cached" if task.cached else "would run", "\n".join(task.reasons))
    result_console().print(table)
