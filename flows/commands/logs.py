"""`thaw logs`: what a run said, while it goes on or afterwards."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import typer

from thaw.flows.commands.home import open_home
from thaw.tasks.run_logs import find_log, read_log


def print_log(run: str | None, home: Path | None, *, follow: bool, as_json: bool) -> None:
    """Print the log of a run, the last one where none is named, a line each."""
    for line in read_log(find_log(open_home(home).path, run), follow=follow):
        typer.echo(json.dumps(line, ensure_ascii=False) if as_json else as_text(line))


def as_text(line: dict[str, Any]) -> str:
    """Write a line of a log for a person: in local time, and only what it says."""
    moment = datetime.fromisoformat(line["time"]).astimezone()
    level = line["level"] if line["level"] in ("warning", "error") else ""
    said = ": ".join(filter(None, (level, line["part"], line["message"])))
    return f"{moment:%Y-%m-%d %H:%M:%S}  {line['task'] or '':<12}  {said}"
