"""Gets Prefect ready for a command. Its settings are defaults, which a user's own environment overrides."""

import logging
import os
from pathlib import Path

from thaw.flows.commands.home import require_writable
from thaw.flows.interruption import Interruption
from thaw.flows.server_errors import import_with_prefect, start_one
from thaw.flows.temporary_server import TemporaryServer
from thaw.pipeline_config.errors import ServerError
from thaw.tasks.progress import say


def start_prefect(home: Path) -> Interruption:
    """Import Prefect, with a temporary server unless its settings name another, and handle signals from now on.

    What handles the signals is returned; the flow that starts must let it take over.

    Raises:
        ServerError: The server does not answer, or the temporary one did not start.
    """
    set_prefect_defaults(home)
    # The command shows lines of its own. Prefect's server gets Prefect's all the same; where it takes none, the
    # progress that it does not show is warned of, and Prefect prints nothing besides.
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    logging.raiseExceptions = False
    say("starting Prefect")
    interruption = Interruption()
    server = None if "PREFECT_API_URL" in os.environ else TemporaryServer()
    import_with_prefect("thaw.flows.task_runner")  # 2 s, because of Prefect; the server starts beside it

    from thaw.flows import server_in_use

    if server is not None and not server_in_use.is_named():
        _require_place_for_database()
        server.serve_this_process()
        return interruption
    if server is not None:
        server.stop()
    server_in_use.require_answer()
    return interruption


def prefect_defaults(home: Path) -> dict[str, str]:
    """Give the environment of all that runs Prefect for thaw; the home folder holds Prefect's records of results."""
    return {
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",  # no word to anyone about who runs what: not from the server,
        "DO_NOT_TRACK": "1",  # and not from Prefect in this process, which would say that it does on a terminal
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",  # 20 is too few: 12 s on a quiet machine
        "PREFECT_LOCAL_STORAGE_PATH": str(home / "prefect-results"),
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    }


def set_prefect_defaults(home: Path) -> None:
    """Set what holds for every command that starts Prefect."""
    for name, value in prefect_defaults(home).items():
        os.environ.setdefault(name, value)
    if not os.environ.get("PREFECT_API_URL", "").strip():  # empty is as good as not there, also where a profile has one
        os.environ.pop("PREFECT_API_URL", None)


def _require_place_for_database() -> None:
    from prefect.settings import get_current_settings

    settings = get_current_settings()
    place, database = settings.home, settings.server.database.connection_url
    if database is None or str(place) not in database.get_secret_value():
        return  # it is elsewhere
    try:
        require_writable(place)
    except OSError as error:
        raise ServerError(
            f"Prefect's folder {place} cannot be written: {error.strerror}. Its temporary server keeps its database "
            f"there. Set PREFECT_HOME to another folder, or use a server that runs. {start_one()}."
        ) from error
