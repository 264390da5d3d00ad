"""`thaw releases list`: one line for each release, the newest first."""

import json
from pathlib import Path

import typer
from rich.table import Column

from thaw.flows.commands.console import plain_table, result_console
from thaw.flows.commands.home import open_home


def print_releases(home: Path | None, *, as_json: bool) -> None:
    """Print the releases, and warn of damaged ones."""
    registry = open_home(home).registry
    found = sorted(registry.list(), key=lambda release: release.published, reverse=True)
    for name, problem in registry.damaged().items():
        typer.echo(f"thaw: warning: {name}: {problem}", err=True)
    if as_json:
        typer.echo(json.dumps([release.model_dump(mode="json") for release in found], indent=1))
        return
    table = plain_table(Column("release", no_wrap=True), "published", "accuracy", "verdict", "champion")
    for release in found:
        champion = "champion" if release.is_champion else ""
        day = f"{release.published:%Y-%m-%d}"
        table.add_row(release.id, day, f"{release.accuracy:.4f}", release.verdict, champion)
    result_console().print(table)
