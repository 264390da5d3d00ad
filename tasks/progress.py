"""What a command says of its work: whoever shows or keeps it subscribes, whoever works publishes. No Prefect.

What is shown never ends what is done: `Shown` is the one place where the errors of whoever shows it end.
"""

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

from thaw.pipeline_config.messages import text_without_secrets

_LOGGER = logging.getLogger(__name__)

# What each kind of event is called in a log. "progress" is only shown, "detail" and "error" are only kept: how it ends,
# a command says itself.
Kind = Literal["progress", "detail", "log", "warning", "error"]
_LEVELS: dict[Kind, str] = {
    "progress": "debug",
    "detail": "debug",
    "log": "info",
    "warning": "warning",
    "error": "error",
}


@dataclass(frozen=True)
class About:
    """What an event belongs to; empty where that is not known."""

    recipe: str = ""
    run: str = ""  # Prefect's id of the flow run
    part: str = ""  # which of a flow's several runs, such as "flowers, seed 1"


@dataclass(frozen=True)
class Event:
    """Something that is said of the work."""

    step: str  # the task's name, such as "stage_one"; empty for the command itself
    kind: Kind
    text: str  # one line
    done: float = 0.0  # share of the step's work, 0 to 1; only with "progress"
    about: About = field(default=About(), compare=False)
    time: float = field(default=0.0, compare=False)  # seconds since 1970


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
_about: ContextVar[About] = ContextVar("about", default=About())  # noqa: B039 (frozen); each thread has its own


def emit(event: Event) -> None:
    """Tell all subscribers, in this thread; what may be a secret in an address is taken out before."""
    text = text_without_secrets(event.text)
    event = replace(event, text=text, about=_about.get(), time=time.time())
    for subscriber in _subscribers:
        subscriber(event)


def say(text: str) -> None:
    """Say something that belongs to no task."""
    emit(Event("", "log", text))


def belongs_to(**known: str) -> Token[About]:
    """Say what the events of this thread belong to from now on, by fields of `About`; the others stay."""
    return _about.set(replace(_about.get(), **known))


@contextmanager
def part_of_run(name: str) -> Iterator[None]:
    """Say which run the events of a block belong to, those of this thread; the name is empty where there is one run."""
    token = belongs_to(part=name)
    try:
        yield
    finally:
        _about.reset(token)


def log_line(event: Event) -> str:
    """Write an event as one JSON document, as it stands in a log; what is not known is null."""
    about = {name: value or None for name, value in vars(event.about).items()}
    moment = datetime.fromtimestamp(event.time, UTC).isoformat(timespec="milliseconds")
    line = {"time": moment, "level": _LEVELS[event.kind], **about, "task": event.step or None, "message": event.text}
    return json.dumps(line)


def last_line(text: str, **more: str) -> str:
    """Write what ends a command as such a document."""
    event = Event("", "error", text, about=_about.get(), time=time.time())
    return json.dumps(json.loads(log_line(event)) | more)


@contextmanager
def subscribed(subscriber: Callable[[Event], None]) -> Iterator[None]:
    """Subscribe to every event of this process, for the length of a block."""
    shown = Shown(subscriber)
    _subscribers.append(shown)
    try:
        yield
    finally:
        _subscribers.remove(shown)
