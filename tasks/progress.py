"""How far the steps are: whoever shows it subscribes, whoever works publishes. Standard library only.

What is shown never ends what is done: `Shown` is the one place where the errors of whoever shows it end.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, Literal

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Event:
    """Something that a step says while it works."""

    step: str  # the task's name, such as "stage_one"
    kind: Literal["progress", "log", "warning"]
    text: str  # one line
    done: float = 0.0  # share of the step's work, 0 to 1; only with "progress"
    run: str = ""  # which of several runs it belongs to


class Shown:
    """Calls what shows something of the work, and keeps its errors from the work; the first is logged."""

    def __init__(self, show: Callable[..., None]) -> None:
        """Wrap what shows it."""
        self._show = show
        self._has_failed = False

    def __call__(self, *what: Any) -> None:
        """Show something, or pass over it."""
        try:
            self._show(*what)
        except Exception as error:  # noqa: BLE001 (whatever it is, a lost connection or a terminal that is gone)
            if not self._has_failed:
                self._has_failed = True
                _LOGGER.warning("The run goes on, but not all of it is shown: %s: %s", type(error).__name__, error)


_subscribers: list[Callable[[Event], None]] = []
_run: ContextVar[str] = ContextVar("run", default="")  # each thread has its own


def emit(event: Event) -> None:
    """Tell all subscribers, in this thread."""
    event = replace(event, run=_run.get())
    for subscriber in _subscribers:
        subscriber(event)


@contextmanager
def part_of_run(name: str) -> Iterator[None]:
    """Say which run the events of a block belong to, those of this thread; the name is empty where there is one run."""
    token = _run.set(name)
    try:
        yield
    finally:
        _run.reset(token)


@contextmanager
def subscribed(subscriber: Callable[[Event], None]) -> Iterator[None]:
    """Subscribe to every event of this process, for the length of a block."""
    shown = Shown(subscriber)
    _subscribers.append(shown)
    try:
        yield
    finally:
        _subscribers.remove(shown)
