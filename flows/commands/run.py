"""`thaw run`: one run of a recipe, shown live, and its result."""

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.table import Table

from flows.commands.home import prepare_home
from flows.commands.live import LiveProgress
from flows.commands.prefect_settings import keep_console_quiet, set_prefect_defaults
from pipeline_config.loading import load_recipe
from tasks.ingest.sources import open_source
from tasks.progress import subscribed

if TYPE_CHECKING:
    from flows.summary import RunResult


def run_recipe(
    recipe_name: str,
    overrides: tuple[str, ...],
    *,
    data: Path | None,
    weights: Path | None,
    home: Path | None,
    as_json: bool,
) -> None:
    """Run a recipe and print its result.

    Args:
        recipe_name: Name or file of a recipe.
        overrides: KEY=VALUE strings.
        data: A folder that takes the place of the recipe's source.
        weights: A file that takes the place of the recipe's weights.
        home: `--home`, if it was given.
        as_json: Print one JSON document instead of a table.

    Raises:
        ThawError: The request was wrong, or the run failed.
    """
    recipe = load_recipe(recipe_name, overrides, data=data, weights=weights)
    open_source(recipe.dataset.source).classes()  # a wrong folder should not wait for a server to start
    folder = prepare_home(home)
    set_prefect_defaults(folder)
    keep_console_quiet()
    console = Console(stderr=True, highlight=False)
    console.print(f"thaw: recipe {recipe.name}, seed {recipe.seed}, home {folder}", soft_wrap=True)
    console.print("thaw: starting Prefect")

    from flows.retrain import retrain  # Prefect takes 2 s to import, which a wrong recipe should not cost

    with LiveProgress(console) as live, subscribed(live):
        result = retrain(recipe, folder)
    if as_json:
        typer.echo(result.model_dump_json(indent=1))
    else:
        print_result(result)


def print_result(result: "RunResult") -> None:
    """Print what a run made, and where it is.

    Args:
        result: The run's result.
    """
    console = Console(highlight=False)
    table = Table("task", "state", "seconds", box=None, pad_edge=False)
    for task in result.tasks:
        table.add_row(task.name, "cached" if task.cached else task.state, f"{task.seconds:.1f}")
    console.print(table)
    for stage in result.stages:
        console.print(
            f"{stage.name}: validation accuracy {stage.val_accuracy_before:.4f} before its first step, "
            f"{stage.val_accuracy:.4f} after {stage.epochs} epochs",
            soft_wrap=True,
        )
    test = result.metrics["test"]
    low, high = test["accuracy_ci"]
    console.print(f"test accuracy: {test['accuracy']:.4f} ({low:.4f} to {high:.4f}) on {test['examples']} images")
    console.print(f"verdict: {result.verdict}" + (", now in use" if result.release.champion else ", not in use"))
    for name, path in (
        ("release", result.release.path),
        ("model", result.release.path / "model.keras"),
        ("report", result.release.path / "report.html"),
    ):
        if path.exists():
            console.print(f"{name}: {path}", soft_wrap=True)
    console.print(f"in the Prefect UI: {result.ui_url}" if result.ui_url else _ui_hint(result.run), soft_wrap=True)


def _ui_hint(run: str) -> str:
    command = "prefect" if shutil.which("prefect") else Path(sys.executable).with_name("prefect")
    address = "http://127.0.0.1:4200"  # where Prefect's server listens by default
    return f"in the Prefect UI: {command} server start, then open {address}/runs/flow-run/{run}"
