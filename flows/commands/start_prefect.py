"""Gets Prefect ready for a command that starts a flow in its own process."""

import importlib
import os
from pathlib import Path

from rich.console import Console

from thaw.flows.commands.prefect_settings import set_prefect_defaults
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
