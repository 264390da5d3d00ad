"""Ctrl-C and SIGTERM: a flow ends in good order, and the next signals do not disturb that; all else ends at once."""

import contextlib
import signal
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

from thaw.flows.main import leave

# The step's process has 10 seconds to save its state (tasks/process.py), and Prefect's server must be told. After that,
# a signal counts again: an exception that a handler raises can get lost where Python allows none, as in `__del__`.
_SECONDS_TO_END = 20.0


class Interrupted(BaseException):
    """A signal asked the command to end; the exit code is as shells count it, 130 for Ctrl-C, 143 for SIGTERM."""

    def __init__(self, number: signal.Signals) -> None:
        """Say which signal it was."""
        super().__init__(f"interrupted by {number.name}")
        self.exit_code = 128 + number


class Interruption:
    """Handles SIGINT and SIGTERM alike; outside of a flow, as the program does."""

    def __init__(self) -> None:
        """Handle the signals from now on, to the end of the process.

        One that the process was started to ignore, as `nohup` does, stays ignored.
        """
        self._first: float | None = None
        self._in_flow = False
        self._numbers = [
            number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) is not signal.SIG_IGN
        ]
        self._handle_signals()

    @contextlib.contextmanager
    def in_flow(self, flow: Any) -> Iterator[None]:
        """Raise `Interrupted` in a block that runs a flow of Prefect's, which ends in good order on it."""
        flow.on_running(self._take_over)
        self._in_flow = True
        try:
            yield
        finally:
            self._in_flow = False

    def _take_over(self, flow: Any, flow_run: Any, state: Any) -> None:
        """Handle the signals in a flow, too: Prefect's handler never ignores one. A hook of Prefect's, on running."""
        self._handle_signals()

    def _handle_signals(self) -> None:
        for number in self._numbers:
            signal.signal(number, self._interrupt)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._first is not None and now - self._first <= _SECONDS_TO_END:
            return
        self._first = now
        if self._in_flow:
            raise Interrupted(signal.Signals(number))
        leave(number, frame)


def leave_interrupts_to_prefect() -> None:
    """Let Ctrl-C raise KeyboardInterrupt, on which `prefect.serve` ends in good order; it handles SIGTERM itself."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
