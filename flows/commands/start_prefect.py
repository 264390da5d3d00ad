"""Gets Prefect ready for a command. Its settings are defaults, which a user's own environment overrides."""

import importlib
import os
import shutil
import sys
from pathlib import Path

from rich.console import Console

from thaw.flows.interruption import Interruption
from thaw.flows.temporary_server import TemporaryServer


def start_prefect(home: Path, console: Console) -> Interruption:
    """Import Prefect, with a temporary server unless there is another, and handle signals from now on.

    What handles the signals is returned; the flow that starts must let it take over.

    Raises:
        ServerError: The temporary server did not start.
    """
    set_prefect_defaults(home)
    # The command shows lines of its own. Prefect's server gets Prefect's all the same.
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    console.print("thaw: starting Prefect")
    interruption = Interruption()
    server = None if "PREFECT_API_URL" in os.environ else TemporaryServer()
    importlib.import_module("thaw.flows.task_runner")  # 2 s, because of Prefect; the server starts beside it
    if server is not None:
        server.serve_this_process()
    return interruption


def set_prefect_defaults(home: Path) -> None:
    """Set what holds for every command that starts Prefect; the home folder holds Prefect's records of results."""
    defaults = {
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",  # no word to anyone about who runs what
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",  # 20 is too few: 12 s on a quiet machine
        "PREFECT_LOCAL_STORAGE_PATH": str(home / "prefect-results"),
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)


def prefect_command() -> str:
    """Find the command to show to users: with the path of the one beside this Python, where a shell finds none."""
    return "prefect" if shutil.which("prefect") else str(Path(sys.executable).with_name("prefect"))
