"""`thaw doctor`: whether a run can succeed here, and what to do where it cannot."""

import json
from pathlib import Path

import typer

from thaw.flows.commands.console import plain_table, result_console
from thaw.flows.doctor.base import Here
from thaw.flows.doctor.members import examine
from thaw.pipeline_config.schema import Recipe
from thaw.pipeline_config.settings import Settings


def print_findings(recipe: Recipe | None, home: Path | None, *, as_json: bool) -> None:
    """Print what each check found; ends with exit code 1 where a run cannot succeed."""
    folder = (home or Settings().home).expanduser().absolute()
    found = examine(Here(folder, recipe))
    if as_json:
        typer.echo(json.dumps([{"check": check.name, **finding.model_dump()} for check, finding in found], indent=1))
    else:
        table = plain_table("check", "", "what was found, and what to do")
        for check, finding in found:
            table.add_row(check.name, finding.level, f"{finding.text} {finding.remedy}".rstrip())
        result_console().print(table)
    if any(finding.level == "error" for _, finding in found):
        raise typer.Exit(1)
