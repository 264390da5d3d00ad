"""Defaults for Prefect, which a user's own environment overrides; set before Prefect is imported."""

import os
import shutil
import sys
from pathlib import Path


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
