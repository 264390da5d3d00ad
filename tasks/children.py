"""Runs steps' work in child processes: progress lines, a deadline, and no orphan whichever side dies first.

What a child is and says is in tasks/step_process.py. A step has a child of its own, unless it shares one with the steps
of the same run before it, which saves the import of TensorFlow.
"""

import collections
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import typing
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import IO, Any

from pydantic import BaseModel

from thaw.pipeline_config.errors import DeadlineError, StepProcessError, error_class
from thaw.tasks.artifacts.step import Cost, Made
from thaw.tasks.process import SECONDS_TO_LEAVE
from thaw.tasks.progress import Shown

_KEPT_LINES = 20
_READY = '{"ready": true}\n'
_COMMAND = ("-P", "-m", "thaw.tasks.step_process")
_IMPORTED_EARLY = ("keras",)  # which imports TensorFlow

Listener = Callable[[str, Any], None]


def run_in_child(
    function: str,
    request: BaseModel,
    *,
    deadline_seconds: float,
    listener: Listener,
    shared: bool = False,
    needs_keras: bool = True,
) -> Made:
    """Run a function in a child process and wait for its result: what it returned, as facts, and what it took.

    `function` is "package.module:function", which takes the request and a `Reporter` and returns a pydantic model, or
    another value that JSON can hold. The listener is called with the kind and content of every progress, log and
    warning line, in this thread; its errors do not end the work. With `shared`, inside `sharing_children`, it may get a
    process that has done such work before, and leaves that, if it succeeds, to the next one. All such processes have
    imported Keras: for a function that does not need it, none is started. The memory is not known where the system does
    not say it of a process that has done other work before.

    Raises:
        ThawError: The error that the function raised, of the same class.
        StepProcessError: The child died; the message names the signal.
        DeadlineError: It passed its deadline.
    """
    children = _CHILDREN.get() if shared else None
    child = None if children is None else children.take() if needs_keras else children.take_waiting()
    if child is None:
        children, child = None, Child(_IMPORTED_EARLY if shared and needs_keras else ())
    takes_another = False
    try:
        made, takes_another = child.ask(function, request, deadline_seconds, Shown(listener))
    finally:
        if children is not None and takes_another:
            children.give_back(child)
        else:
            child.end()
    return made


class Child:
    """A child process."""

    def __init__(self, modules: Sequence[str] = ()) -> None:
        """Start it; it imports the modules while it waits for its first request."""
        self._process = subprocess.Popen(
            [sys.executable, *_COMMAND, *modules],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",  # libraries may print anything, and a pipe that nobody empties would stop the child
            start_new_session=True,  # so that a deadline ends the child's own children too
            env=_environment(),
        )
        self._was_asked = False
        self._last_lines: collections.deque[str] = collections.deque(maxlen=_KEPT_LINES)
        self._stdin = typing.cast(IO[str], self._process.stdin)
        self._stdout = typing.cast(IO[str], self._process.stdout)
        self._drain = threading.Thread(target=self._keep_last_lines, daemon=True)
        self._drain.start()
        threading.Thread(target=self._sweep, daemon=True).start()

    def is_ready(self) -> bool:
        """Say whether it can take a request, and has not ended; waits for one that has yet to forget the last."""
        # A new one has nothing to forget.
        return self._process.poll() is None and (not self._was_asked or self._stdout.readline() == _READY)

    def ask(self, function: str, request: BaseModel, deadline_seconds: float, listener: Listener) -> tuple[Made, bool]:
        """Let it run a function, as `run_in_child` does, and say whether it may be asked again.

        If this raises, the child is to be ended.
        """
        self._last_lines.clear()
        self._was_asked = True
        outcome = threading.Lock()  # taken by whoever comes first: the end of the work, or the deadline

        def stop_late() -> None:
            if outcome.acquire(blocking=False):
                self._stop()

        timer = threading.Timer(deadline_seconds, stop_late)
        timer.daemon = True
        timer.start()
        try:
            answer = self._converse(function, request, listener)
        finally:
            timer.cancel()
            in_time = outcome.acquire(blocking=False)
        if "result" in answer:
            result = answer["result"]
            return Made(result["facts"], Cost(**result["cost"])), result["takes_another"] and in_time
        if not in_time:
            raise DeadlineError(
                f"{function} passed its deadline of {deadline_seconds:g} seconds and was ended. Raise "
                "execution.deadline_minutes: the same command then goes on, a stage from its last checkpoint."
            )
        if "error" in answer:
            raise error_class(answer["error"]["class"])(answer["error"]["message"])
        self._stop(signal_first=False)
        raise StepProcessError(_obituary(function, self._process.returncode, self._last_lines))

    def end(self) -> None:
        """End it, and all that it started: first politely, so that it can save its state; then for certain."""
        try:
            self._stop()
        finally:
            self._close()

    def kill(self) -> None:
        """End it at once, where it has nothing to save, and all that it started."""
        self._kill()
        self._close()

    def _converse(self, function: str, request: BaseModel, listener: Listener) -> dict[str, Any]:
        with contextlib.suppress(BrokenPipeError):  # it died at once; what it said before is read all the same
            self._stdin.write(f"{function}\n{request.model_dump_json(by_alias=True)}\n")
            self._stdin.flush()
        for line in self._stdout:
            if not line.endswith("\n"):
                break  # killed in the middle of a word
            ((kind, content),) = json.loads(line).items()
            if kind in ("result", "error"):
                return {kind: content}
            listener(kind, content)
        return {}

    def _stop(self, *, signal_first: bool = True) -> None:
        try:
            if signal_first:
                self._signal_group(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=SECONDS_TO_LEAVE)
        finally:  # also where a second signal ends the waiting
            self._kill()

    def _kill(self) -> None:
        self._signal_group(signal.SIGKILL)
        self._process.wait()

    def _close(self) -> None:
        self._drain.join(timeout=1)
        with contextlib.suppress(BrokenPipeError):  # of what it was not sent any more
            self._stdin.close()
        self._stdout.close()

    def _sweep(self) -> None:
        # A forked worker of a dead child holds the conversation's pipe open: without this its end would never come.
        self._process.wait()
        self._signal_group(signal.SIGKILL)

    def _signal_group(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # nobody is left; macOS says so with EPERM
            os.killpg(self._process.pid, number)

    def _keep_last_lines(self) -> None:
        with typing.cast(IO[str], self._process.stderr) as stream:
            for line in stream:
                self._last_lines.append(line.rstrip())


class Children:
    """The processes that the steps of one run share; used from several threads."""

    def __init__(self) -> None:
        """Start none yet."""
        self._idle: list[Child] = []
        self._lock = threading.Lock()
        self._has_started = False
        self._is_closed = False

    def prepare(self) -> None:
        """Start the first child, which imports Keras while other things go on. Does nothing after the first one."""
        with self._lock:
            if not self._has_started:
                self._has_started = True
                self._idle.append(Child(_IMPORTED_EARLY))

    def take(self) -> Child:
        """Take a child that waits for work, or else a new one, to be given back or ended."""
        with self._lock:
            self._has_started = True
        return self.take_waiting() or Child(_IMPORTED_EARLY)

    def take_waiting(self) -> Child | None:
        """Take a child that waits for work, if there is one."""
        while True:
            with self._lock:
                child = self._idle.pop() if self._idle else None
            if child is None or child.is_ready():
                return child
            child.end()  # it died of something while it waited; this step is none the worse

    def give_back(self, child: Child) -> None:
        """Leave a child, which takes another request, to the next step."""
        with self._lock:
            if not self._is_closed:
                self._idle.append(child)
                return
        child.kill()

    def close(self) -> None:
        """End the children that wait for work, and from now on each one that is given back."""
        with self._lock:
            self._is_closed = True
            while self._idle:
                self._idle.pop().kill()


_CHILDREN: ContextVar[Children | None] = ContextVar("children", default=None)


@contextlib.contextmanager
def sharing_children() -> Iterator[Children]:
    """Let the steps of a run share children, which end with it. Inside another call it is the same run."""
    if (outer := _CHILDREN.get()) is not None:
        yield outer
        return
    children = Children()
    token = _CHILDREN.set(children)
    try:
        yield children
    finally:
        _CHILDREN.reset(token)
        children.close()


def _environment() -> dict[str, str]:
    return os.environ | {
        "KERAS_BACKEND": "tensorflow",
        "PYTHONIOENCODING": "utf-8",
        # The child finds modules exactly where this process does: with -P, a `thaw.py` in the current folder is not
        # taken for ours.
        "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }


def _obituary(function: str, code: int, last_lines: collections.deque[str]) -> str:
    if code < 0:
        name = signal.Signals(-code).name
        cause = f"was killed by {name}" + (" (often: out of memory)" if name == "SIGKILL" else "")
    else:
        cause = f"ended with exit code {code} and no result"
    words = f" Its last words: {last_lines[-1]}" if last_lines else ""
    return f"The process of {function} {cause}.{words}"
