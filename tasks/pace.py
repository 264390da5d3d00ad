"""Saying something neither too often nor too seldom: a throttle, and a counter of finished items. No TensorFlow."""

import threading
import time
from collections.abc import Callable

from thaw.tasks.process import Reporter

_SECONDS_BETWEEN_LINES = 0.5


class AtMostEvery:
    """Says yes at most every so many seconds; the first time at once.

    >>> due = AtMostEvery(10, clock=iter([0, 4, 11]).__next__)
    >>> due(), due(), due()
    (True, False, True)
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin; `clock` gives seconds that never go back."""
        self._seconds, self._clock = seconds, clock
        self._next = float("-inf")

    def __call__(self) -> bool:
        """Whether it is time; if so, the next time is the given seconds from now."""
        now = self._clock()
        if now < self._next:
            return False
        self._next = now + self._seconds
        return True


class ProgressCounter:
    """Counts finished items, from any thread, and reports how many there are about twice a second, and at the end."""

    def __init__(self, report: Reporter, total: int, words: str) -> None:
        """Start at zero; `words` follow the numbers, such as "images checked"."""
        self._report, self._total, self._words = report, total, words
        self._done = 0
        self._is_due = AtMostEvery(_SECONDS_BETWEEN_LINES)
        self._lock = threading.Lock()

    def advance(self, items: int = 1) -> None:
        """Count more finished items."""
        with self._lock:
            self._done += items
            if self._is_due() or self._done == self._total:
                self._report.progress(self._done / self._total, f"{self._done:,} of {self._total:,} {self._words}")
