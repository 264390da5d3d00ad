"""How far the steps are: whoever shows it subscribes, whoever works publishes. Standard library only."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True)
class Event:
    """Something that a step says while it works.

    Attributes:
        step: The task's name, such as "stage_one".
        kind: "progress", "log" or "warning".
        text: One line.
        done: Share of the step's work, 0 to 1; only with "progress".
        run: Which of several runs it belongs to; empty where there is one.
    """

    step: str
    kind: Literal["progress", "log", "warning"]
    text: str
    done: float = 0.0
    run: str = ""


_subscribers: list[Callable[[Event], None]] = []
_run: ContextVar[str] = ContextVar("run", default="")  # each thread has its own


def emit(event: Event) -> None:
    """Tell all subscribers, in this thread.

    Args:
        event: What happened.
    """
    event = replace(event, run=_run.get())
    for subscriber in _subscribers:
        subscriber(event)


@contextmanager
def part_of_run(name: str) -> Iterator[None]:
    """Say which run the events of a block belong to, those of this thread.

    Args:
        name: A few words; empty where there is one run.
    """
    token = _run.set(name)
    try:
        yield
    finally:
        _run.reset(token)


@contextmanager
def subscribed(subscriber: Callable[[Event], None]) -> Iterator[None]:
    """Subscribe for the length of a block.

    Args:
        subscriber: Called with every event of this process.
    """
    _subscribers.append(subscriber)
    try:
        yield
    finally:
        _subscribers.remove(subscriber)
