"""`--sample COMMIT`: as many of the collected tests as a quarter of an hour allows, in an order that the commit makes.

A clock ends the sample, not a list of how long each test takes: such a list would be wrong on another machine, and old
soon. When the time is up, tests that have not begun are skipped, and those that are running are cut short and skipped.
Left out are tests that may take longer than slow tests usually may: `make test-slow` runs all of them.
"""

import contextlib
import hashlib
import os
import signal
import threading
import time
from collections.abc import Generator, Iterator
from typing import Any

import psutil
import pytest

from tests.faults.processes import tree

SECONDS_OF_A_SLOW_TEST = 900  # at most, where it does not say itself how long it takes
_MINUTES = 15.0
_SECONDS_TO_END = 45  # from the last test's cut to pytest's end: the Prefect servers stop, and folders are removed


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("sample")
    group.addoption("--sample", metavar="COMMIT", help="run some of the tests, as the commit chooses")
    group.addoption(
        "--sample-minutes", type=float, default=_MINUTES, metavar="N", help="how long [default: %(default)s]"
    )
    # Set by the first process, which hands its options to the others.
    group.addoption("--sample-end", type=float, help="when it ends, in seconds of the monotonic clock")


def register(config: pytest.Config) -> None:
    """Take a sample, if one is asked for."""
    if config.option.sample is None:
        return
    if config.option.sample_end is None:
        config.option.sample_end = time.monotonic() + config.option.sample_minutes * 60 - _SECONDS_TO_END
    config.pluginmanager.register(Sample(config.option.sample, config.option.sample_minutes, config.option.sample_end))


class Sample:
    """Orders tests, and ends them when the time is up."""

    def __init__(self, commit: str, minutes: float, end: float) -> None:
        self._commit = commit
        self._minutes = minutes
        self._end = end
        self._may_cut = False
        self._has_cut = False
        # Not SIGALRM, which is pytest-timeout's.
        signal.signal(signal.SIGUSR1, self._cut)

    def pytest_report_header(self) -> str:
        return f"sample: chosen by commit {self._commit or 'unknown'}, {self._minutes:g} minutes"

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        long = [item for item in items if _longest(item) > SECONDS_OF_A_SLOW_TEST]
        config.hook.pytest_deselected(items=long)
        items[:] = sorted(set(items).difference(long), key=self._place)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self) -> Generator[None, Any, Any]:
        with self._limited():
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Generator[None, Any, Any]:
        with self._limited():
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self) -> Generator[None, Any, Any]:
        try:
            return (yield)
        finally:
            if self._has_cut:  # a test that is cut short may leave a run that goes on for long
                for process in tree(os.getpid())[1:]:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        process.kill()

    def _place(self, item: pytest.Item) -> list[str]:
        # The tests of a file stay together: they share what takes longest to make, such as a comparison's runs.
        names = (item.nodeid.partition("::")[0], item.nodeid)
        return [hashlib.sha256(f"{self._commit} {name}".encode()).hexdigest() for name in names]

    @contextlib.contextmanager
    def _limited(self) -> Iterator[None]:
        left = self._end - time.monotonic()
        if left <= 0:
            pytest.skip("the sample's time was up before it")
        # To this thread, which it wakes where it waits: another may be the one that a signal to the process reaches.
        timer = threading.Timer(left, signal.pthread_kill, [threading.get_ident(), signal.SIGUSR1])
        timer.daemon = True
        self._may_cut = True
        timer.start()
        try:
            yield
        finally:
            self._may_cut = False
            timer.cancel()

    def _cut(self, *_: Any) -> None:
        if self._may_cut:
            self._has_cut = True
            pytest.skip("the sample's time was up during it")


def _longest(item: pytest.Item) -> float:
    timeout = item.get_closest_marker("timeout")
    return float(timeout.args[0]) if timeout else 0.0
