"""Saying something neither too often nor too seldom: a throttle, a counter, the time that is left. No TensorFlow."""

import threading
import time
from collections.abc import Callable

from thaw.tasks.process import Reporter

_SECONDS_BETWEEN_LINES = 0.5
_SECONDS_TO_LOOK_AT = 3.0  # before anything is said of the time that is left


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


class TimeLeft:
    """Says how long work will still take, by its pace since the first look: what a checkpoint had done took no time.

    >>> left = TimeLeft(clock=iter([0, 10, 20, 1000]).__next__)
    >>> left(0.5), left(0.6), left(0.75), left(1)
    ('', '40 s left', '20 s left', '')
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin; `clock` gives seconds that never go back."""
        self._clock = clock
        self._first: tuple[float, float] | None = None

    def __call__(self, done: float) -> str:
        """Say it in a few words, by the share that is done, 0 to 1; nothing where it is too early, or done."""
        now = self._clock()
        if self._first is None:
            self._first = now, done
        seconds, share = now - self._first[0], done - self._first[1]
        if seconds < _SECONDS_TO_LOOK_AT or share <= 0 or done >= 1:
            return ""
        return _duration(seconds / share * (1 - done))


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{max(round(seconds), 1)} s left"
    minutes = round(seconds / 60)
    return f"{minutes} min left" if minutes < 100 else f"{round(minutes / 60)} h left"
