"""How far the steps are: whoever shows it subscribes, whoever works publishes. Standard library only."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True)
class Event:
    """Something that a step says while it works."""

    step: str  # the task's name, such as "stage_one"
    kind: Literal["progress", "log", "warning"]
    text: str  # one line
    done: float = 0.0  # share of the step's work, 0 to 1; only with "progress"
    run: str = ""  # which of several runs it belongs to


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
    _subscribers.append(subscriber)
    try:
        yield
    finally:
        _subscribers.remove(subscriber)
