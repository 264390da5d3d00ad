"""How what goes on is shown on standard error: in lines for people, with bars on a terminal, or as JSON for programs.

All of it is events of `thaw.tasks.progress`. The choice, `--log-format`, is kept in the environment: so it holds for
the runs that `thaw serve` starts, and for Prefect's own lines.
"""

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Literal

from thaw.pipeline_config.messages import text_without_secrets
from thaw.tasks.progress import Event, last_line, log_line, subscribed

LogFormat = Literal["text", "json"]
VARIABLE = "THAW_LOG_FORMAT"

# Prefect's records, in this process and in those of served runs, are written by `thaw.flows.prefect_records`.
_PREFECT = {
    "PREFECT_LOGGING_FORMATTERS_JSON_CLASS": "thaw.flows.prefect_records.JsonRecords",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_FORMATTER": "json",
    "PREFECT_LOGGING_COLORS": "false",
    "PREFECT_LOGGING_MARKUP": "false",
}


def choose_log_format(chosen: LogFormat) -> LogFormat:
    """Let this process, and those that it starts, write their status so."""
    os.environ[VARIABLE] = chosen
    if chosen == "json":
        os.environ.update(_PREFECT)
        logging.captureWarnings(True)
    return chosen


def is_json() -> bool:
    """Say whether JSON was chosen."""
    return os.environ.get(VARIABLE) == "json"


@contextlib.contextmanager
def shown() -> Iterator[AbstractContextManager[object]]:
    """Show the events of a block. Inside what is given, a context manager, there are bars where there is a terminal."""
    if is_json():
        with subscribed(_write_line):
            yield contextlib.nullcontext()
        return
    from thaw.flows.commands.console import status_console
    from thaw.flows.commands.live import LiveProgress

    live = LiveProgress(status_console())
    with subscribed(live):
        yield live


def end_line(message: str, traceback: str = "") -> str:
    """Write the line that says of what a command ended; a traceback goes before it, in JSON into it."""
    message, traceback = text_without_secrets(message), text_without_secrets(traceback)
    if is_json():
        return last_line(message, **({"traceback": traceback} if traceback else {})) + "\n"
    return f"{traceback}thaw: {message}\n"


def _write_line(event: Event) -> None:
    if event.kind not in ("progress", "error"):
        sys.stderr.write(log_line(event) + "\n")
