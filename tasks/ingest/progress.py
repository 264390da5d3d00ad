"""Progress lines that are neither too many nor too few, whatever the number of images."""

import threading
import time

from tasks.process import Reporter

_SECONDS_BETWEEN_LINES = 0.5


class ProgressCounter:
    """Counts finished items, from any thread, and says so about twice a second."""

    def __init__(self, report: Reporter, total: int, verb: str, noun: str = "images") -> None:
        """Start at zero.

        Args:
            report: Where progress is reported.
            total: Number of items.
            verb: What is done to them, such as "checked".
            noun: What they are.
        """
        self._report = report
        self._total = total
        self._verb = verb
        self._noun = noun
        self._done = 0
        self._next_line = 0.0
        self._lock = threading.Lock()

    def advance(self) -> None:
        """Count one more finished item."""
        with self._lock:
            self._done += 1
            now = time.monotonic()
            if now < self._next_line and self._done < self._total:
                return
            self._next_line = now + _SECONDS_BETWEEN_LINES
            self._report.progress(self._done / self._total, f"{self._done} of {self._total} {self._noun} {self._verb}")
