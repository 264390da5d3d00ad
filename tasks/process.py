"""What a step's work sees of the process that it runs in: its request, and the way to tell how it goes.

The process itself is tasks/step_process.py, and tasks/children.py starts it.
"""

import contextlib
import json
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from pydantic import BaseModel, ConfigDict, Field

from thaw.tasks.home import Home

SECONDS_TO_LEAVE = 10.0  # what a step has to save its state, once it is asked to leave


class Work(BaseModel):
    """What a step's function gets in its child process. Each step narrows `step` to its own class."""

    model_config = ConfigDict(frozen=True)

    home: Home = Field(description="has the inputs' artifacts")
    folder: Path = Field(description="the empty folder to fill")


class Reporter:
    """The child's way to tell the parent how the work goes."""

    def __init__(self, stream: IO[str]) -> None:
        """Write to a stream that takes one JSON document a line."""
        self.seconds_before = 0.0  # what earlier attempts spent on what this one goes on from
        self._stream = stream
        self._lock = threading.Lock()

    def send(self, kind: str, content: Any) -> None:
        """Write one line: "progress", "log", "warning", "result", "error" or "ready", and a JSON document."""
        line = json.dumps({kind: content}) + "\n"
        # A parent that is dead reads nothing; the work may still save its state before it leaves.
        with self._lock, contextlib.suppress(BrokenPipeError):
            self._stream.write(line)
            self._stream.flush()

    def progress(self, done: float, text: str) -> None:
        """Say how far the work is: a share from 0 to 1, and a few words such as "epoch 3 of 10"."""
        self.send("progress", {"done": min(max(done, 0.0), 1.0), "text": text})

    def log(self, text: str) -> None:
        """Write a line into the run's log."""
        self.send("log", text)

    def warn(self, text: str) -> None:
        """Write a warning, one line, into the run's log."""
        self.send("warning", text)


@contextlib.contextmanager
def asked_to_leave() -> Iterator[threading.Event]:
    """Let the work, in a child, save its state before it leaves, instead of dying of the first SIGTERM.

    The event is set when the process is to end: it has `SECONDS_TO_LEAVE` from then on.
    """
    asked = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: asked.set())
    try:
        yield asked
    finally:
        signal.signal(signal.SIGTERM, before)
