"""How the command reads what is typed: texts and paths that are there, and that UTF-8 can hold."""

from pathlib import Path

import typer

from thaw.pipeline_config.messages import word


def text(value: str) -> str:
    """Take a text: not empty, for an empty one is mostly a variable of the shell that is not set."""
    if not value:
        raise typer.BadParameter("it is empty, expected a text.")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise typer.BadParameter(f"{word(ascii(value))} is not valid UTF-8.") from error
    return value


def path(value: str) -> Path:
    """Take a path, which may not exist."""
    return Path(text(value))
