"""How far the steps are: whoever shows it subscribes, whoever works publishes. Standard library only."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Event:
    """Something that a step says while it works.

    Attributes:
        step: The task's name, such as "stage_one".
        kind: "progress", "log" or "warning".
        text: One line.
        done: Share of the step's work, 0 to 1; only with "progress".
    """

    step: str
    kind: Literal["progress", "log", "warning"]
    text: str
    done: float = 0.0


_subscribers: list[Callable[[Event], None]] = []


def publish(event: Event) -> None:
    """Tell all subscribers, in this thread.

    Args:
        event: What happened.
    """
    for subscriber in _subscribers:
        subscriber(event)


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
