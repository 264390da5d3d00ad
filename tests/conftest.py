"""Settings and fixtures for all tests."""

import signal

import pytest
from hypothesis import HealthCheck, settings

from tests import slow_sample
from tests.prefect_server import prefect_server, thaw
from tests.slow_sample import pytest_addoption
from tests.time_by_file import pytest_terminal_summary

__all__ = ["prefect_server", "pytest_addoption", "pytest_terminal_summary", "thaw"]

# The machines are shared: how long an example takes says nothing. The first text that hypothesis makes on a new machine
# costs it two seconds.
settings.register_profile("shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared machine")


def pytest_configure(config: pytest.Config) -> None:
    """Let Ctrl-C be heard: a shell without job control starts a command in the background with it ignored.

    Processes that the tests start would inherit that.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    slow_sample.register(config)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give slow tests more time, where they do not say themselves how long they take."""
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(slow_sample.SECONDS_OF_A_SLOW_TEST))
