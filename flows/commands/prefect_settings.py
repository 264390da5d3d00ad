"""Defaults for Prefect, which a user's own environment overrides; set before Prefect is imported."""

import os
import shutil
import sys
from pathlib import Path


def set_prefect_defaults(home: Path) -> None:
    """Set what holds for every command that starts Prefect.

    Args:
        home: The home folder, which holds Prefect's records of results.
    """
    _set_defaults(
        {
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",  # no word to anyone about who runs what
            "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",  # 20 is too few: 12 s on a quiet machine
            "PREFECT_LOCAL_STORAGE_PATH": str(home / "prefect-results"),
            "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        }
    )


def keep_console_quiet() -> None:
    """Keep Prefect's lines off the console, where the command shows its own; its server gets them all the same."""
    _set_defaults({"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL"})


def prefect_command() -> str:
    """Find the command to show to users.

    Returns:
        "prefect", or the path of the one beside this Python, where a shell would not find it.
    """
    return "prefect" if shutil.which("prefect") else str(Path(sys.executable).with_name("prefect"))


def _set_defaults(defaults: dict[str, str]) -> None:
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
