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

from pydantic import BaseModel, ConfigDict

SECONDS_TO_LEAVE = 10.0  # what a step has to save its state, once it is asked to leave


class Work(BaseModel):
    """What a step's function gets in its child process. Each step narrows `step` to its own class.

    Attributes:
        home: The home folder, in which the inputs' artifacts are.
        folder: The empty folder to fill.
    """

    model_config = ConfigDict(frozen=True)

    home: Path
    folder: Path


class Reporter:
    """The child's way to tell the parent how the work goes."""

    def __init__(self, stream: IO[str]) -> None:
        """Write to a stream.

        Args:
            stream: Takes one JSON document a line.
        """
        self._stream = stream
        self._lock = threading.Lock()

    def send(self, kind: str, content: Any) -> None:
        """Write one line.

        Args:
            kind: "progress", "log", "warning", "result", "error" or "ready".
            content: A JSON document.
        """
        line = json.dumps({kind: content}) + "\n"
        # A parent that is dead reads nothing; the work may still save its state before it leaves.
        with self._lock, contextlib.suppress(BrokenPipeError):
            self._stream.write(line)
            self._stream.flush()

    def progress(self, done: float, text: str) -> None:
        """Say how far the work is.

        Args:
            done: Share of the work, from 0 to 1.
            text: A few words, such as "epoch 3 of 10".
        """
        self.send("progress", {"done": min(max(done, 0.0), 1.0), "text": text})

    def log(self, text: str) -> None:
        """Write a line into the run's log.

        Args:
            text: One line.
        """
        self.send("log", text)

    def warn(self, text: str) -> None:
        """Write a warning into the run's log.

        Args:
            text: One line.
        """
        self.send("warning", text)


@contextlib.contextmanager
def asked_to_leave() -> Iterator[threading.Event]:
    """Let the work, in a child, save its state before it leaves, instead of dying of the first SIGTERM.

    Yields:
        Set when the process is to end: it has `SECONDS_TO_LEAVE` from then on.
    """
    asked = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: asked.set())
    try:
        yield asked
    finally:
        signal.signal(signal.SIGTERM, before)
