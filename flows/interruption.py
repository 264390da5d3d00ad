"""Ctrl-C and SIGTERM for commands that start a flow: the first ends it in good order, the next do not disturb that."""

import signal
import time
from types import FrameType
from typing import Any

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
    """Handles SIGINT and SIGTERM alike."""

    def __init__(self) -> None:
        """Handle the signals from now on, to the end of the process.

        One that the process was started to ignore, as `nohup` does, stays ignored.
        """
        self._first: float | None = None
        self._numbers = [
            number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) is not signal.SIG_IGN
        ]
        self._handle_signals()

    def take_over(self, flow: Any, flow_run: Any, state: Any) -> None:
        """Handle the signals in a flow, too: Prefect's handler never ignores one. A hook of Prefect's, on running."""
        self._handle_signals()

    def _handle_signals(self) -> None:
        for number in self._numbers:
            signal.signal(number, self._interrupt)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._first is None or now - self._first > _SECONDS_TO_END:
            self._first = now
            raise Interrupted(signal.Signals(number))
