"""`thaw gc`: remove what nothing needs any more, and print what that frees."""

import time
from itertools import groupby
from pathlib import Path

import typer
from rich.table import Column

from thaw.flows.commands.console import plain_table, result_console
from thaw.flows.commands.home import open_home
from thaw.pipeline_config.durations import seconds_of
from thaw.pipeline_config.errors import RequestError
from thaw.tasks.cleanup.collect import Collected, collect_garbage
from thaw.tasks.cleanup.kept import Limits

_STALE = "they lead to nothing that stays"
# Many, of some kilobytes each: one row for all of a kind.
_SMALL = {
    "run record": _STALE,
    "Prefect record": _STALE,
    "key record": _STALE,
    "log": "nothing was written there lately",
}


def collect(home: Path | None, *, keep_releases: int, older_than: str, dry_run: bool, as_json: bool) -> None:
    """Remove what no kept release, champion or recent run refers to, and print what it was.

    Raises:
        RequestError: The age is none.
    """
    try:
        limits = Limits(keep_releases, young_after=time.time() - seconds_of(older_than))
    except ValueError as error:
        raise RequestError(f"--older-than {error}") from error
    collected = collect_garbage(open_home(home), limits, dry_run=dry_run)
    for warning in collected.warnings:
        typer.echo(f"thaw: warning: {warning}", err=True)
    if as_json:
        typer.echo(collected.model_dump_json(indent=1))
    else:
        _print(collected)


def _print(collected: Collected) -> None:
    console = result_console()
    if collected.garbage:
        table = plain_table("kind", "name", Column("MB", justify="right"), "why it can go")
        for kind, group in groupby(collected.garbage, key=lambda item: item.kind):
            items = list(group)
            if kind in _SMALL:
                size = sum(item.bytes for item in items)
                table.add_row(kind, f"{len(items)} of them", _megabytes(size), _SMALL[kind])
            else:
                for item in items:
                    table.add_row(kind, item.name, _megabytes(item.bytes), item.reason)
        console.print(table)
    words = "would free" if collected.dry_run else "freed"
    console.print(f"{words}: {_megabytes(collected.bytes)} MB")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f}"
