"""Waiting for what Prefect's server does in its own time."""

import time
from typing import Any

import pytest

from tests.prefect_server import Thaw


def wait_for(what: Any, seconds: float) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := what():
            return found
        time.sleep(0.5)
    return pytest.fail("it did not happen in time")


def event_about(thaw: Thaw, event: str, release: str) -> dict[str, Any]:
    """Find the event that tells of a release; nothing where the server has not got it yet."""
    found = thaw.api("events/filter", {"filter": {"event": {"name": [event]}}})["events"]
    return next((one for one in found if one["payload"]["release"] == release), {})
