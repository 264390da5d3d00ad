"""Waiting for what Prefect's server does in its own time."""

import time
from typing import Any

import pytest


def wait_for(what: Any, seconds: float) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := what():
            return found
        time.sleep(0.5)
    return pytest.fail("it did not happen in time")
