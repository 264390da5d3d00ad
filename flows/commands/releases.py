"""`thaw releases …`: look at the releases, and move the pointer to the champion by hand."""

import json
from pathlib import Path

import typer
from rich.table import Column, Table

from thaw.flows.commands.console import result_console
from thaw.flows.commands.home import open_home


def list_releases(home: Path | None, *, as_json: bool) -> None:
    """Print one line per release.

    Args:
        home: `--home`, if it was given.
        as_json: Print one JSON document.
    """
    registry = open_home(home).registry
    found = registry.list()
    for name, problem in registry.damaged().items():
        typer.echo(f"thaw: warning: {name}: {problem}", err=True)
    if as_json:
        typer.echo(json.dumps([release.model_dump(mode="json") for release in found], indent=1))
        return
    table = Table(
        Column("release", no_wrap=True),
        "recipe",
        "test accuracy",
        "interval",
        "verdict",
        "champion",
        box=None,
        pad_edge=False,
    )
    for release in found:
        low, high = release.accuracy_ci
        champion = "champion" if release.is_champion else ""
        interval = f"{low:.4f} to {high:.4f}"
        table.add_row(release.id, release.recipe, f"{release.accuracy:.4f}", interval, release.verdict, champion)
    result_console().print(table)


def show_release(release_id: str, home: Path | None, *, as_json: bool) -> None:
    """Print what a release holds, after its files have been checked.

    Args:
        release_id: The release.
        home: `--home`, if it was given.
        as_json: Print one JSON document.

    Raises:
        ThawError: There is no such release, or it is damaged.
    """
    registry = open_home(home).registry
    release = registry.get(release_id)
    registry.verify(release.id)
    if as_json:
        typer.echo((release.path / "release.json").read_text(encoding="utf-8"))
        return
    typer.echo((release.path / "README.md").read_text(encoding="utf-8"))


def promote(release_id: str, reason: str, home: Path | None) -> None:
    """Make a release the champion of its recipe.

    Args:
        release_id: The release.
        reason: Kept in the log.
        home: `--home`, if it was given.

    Raises:
        ThawError: There is no such release, or it is damaged.
    """
    release = open_home(home).registry.promote(release_id, reason)
    typer.echo(f"{release.id} is now the champion of {release.recipe}.")


def rollback(recipe: str | None, reason: str, home: Path | None) -> None:
    """Go back to the champion before the present one.

    Args:
        recipe: Whose champion; None where there is one recipe only.
        reason: Kept in the log.
        home: `--home`, if it was given.

    Raises:
        ThawError: There is nothing to go back to.
    """
    release = open_home(home).registry.rollback(recipe, reason)
    typer.echo(f"{release.id} is the champion of {release.recipe} again.")
