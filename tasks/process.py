"""Runs a step's work in a child process: progress lines, a deadline, and no orphan whichever side dies first.

The child is `python -m tasks.process package.module:function`. It reads its request, one line of JSON, from standard
input, and answers on standard output with one JSON document a line: `{"progress": …}`, `{"log": …}`, then
`{"result": …}` or `{"error": …}`. Standard input stays open while the parent lives, and its end tells the child that
the parent is gone. What libraries print goes to standard error, of which the parent keeps the end for the message of a
crash.
"""

import collections
import contextlib
import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
import traceback
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from pydantic import BaseModel, ConfigDict

from pipeline_config.errors import StepProcessError, ThawError, error_class

_KEPT_LINES = 20
_SECONDS_TO_LEAVE = 10.0
_STATUS = Path("/proc/self/status")


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
            kind: "progress", "log", "warning", "result" or "error".
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


Listener = Callable[[str, Any], None]


def run_in_child(function: str, request: BaseModel, *, deadline_seconds: float, listener: Listener) -> dict[str, Any]:
    """Run a function in a process of its own and wait for its result.

    Args:
        function: "package.module:function", which takes the request and a `Reporter` and returns a JSON document.
        request: The function's first argument.
        deadline_seconds: The longest time that it may take.
        listener: Called with the kind and content of every progress, log and warning line, in this thread.

    Returns:
        What the function returned, with the most memory that its process held: `peak_memory_bytes`.

    Raises:
        ThawError: The error that the function raised, of the same class.
        StepProcessError: The child died or passed its deadline; the message names the signal or the deadline.
    """
    with _start(function) as child:
        last_lines: collections.deque[str] = collections.deque(maxlen=_KEPT_LINES)
        drain = threading.Thread(target=_keep_last_lines, args=(child.stderr, last_lines), daemon=True)
        drain.start()
        threading.Thread(target=_sweep, args=(child,), daemon=True).start()
        passed_deadline = threading.Event()

        def end_late_child() -> None:
            passed_deadline.set()
            _end(child)

        timer = threading.Timer(deadline_seconds, end_late_child)
        timer.daemon = True
        timer.start()
        try:
            answer = _converse(child, request, listener)
        finally:
            timer.cancel()
            _end(child)
            drain.join(timeout=1)
    if "result" in answer:
        result: dict[str, Any] = answer["result"]
        return result
    if passed_deadline.is_set():
        raise StepProcessError(
            f"{function} passed its deadline of {deadline_seconds:g} seconds and was ended. "
            "Raise execution.deadline_minutes, or ask for less work."
        )
    if "error" in answer:
        raise error_class(answer["error"]["class"])(answer["error"]["message"])
    raise StepProcessError(_obituary(function, child.returncode, last_lines))


def _start(function: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "tasks.process", function],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",  # libraries may print anything, and a pipe that nobody empties would stop the child
        start_new_session=True,  # so that a deadline ends the child's own children too
        env=_environment(),
    )


def _environment() -> dict[str, str]:
    # The child finds modules exactly where this process does: with -P, a `tasks.py` in the current folder is not
    # taken for ours.
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return os.environ | {
        "KERAS_BACKEND": "tensorflow",
        "PYTHONIOENCODING": "utf-8",
        "PYTHONPATH": path,
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }


def _converse(child: subprocess.Popen[str], request: BaseModel, listener: Listener) -> dict[str, Any]:
    stdin, stdout = typing.cast(IO[str], child.stdin), typing.cast(IO[str], child.stdout)
    try:
        with contextlib.suppress(BrokenPipeError):  # it died at once; what it said before is read all the same
            stdin.write(request.model_dump_json(by_alias=True) + "\n")
            stdin.flush()
        for line in stdout:
            if not line.endswith("\n"):
                break  # killed in the middle of a word
            ((kind, content),) = json.loads(line).items()
            if kind in ("result", "error"):
                return {kind: content}
            listener(kind, content)
        child.wait()
        return {}
    finally:
        with contextlib.suppress(BrokenPipeError):
            stdin.close()


def _end(child: subprocess.Popen[str]) -> None:
    # First politely, so that the child can save its state; then for certain, with all that it started.
    try:
        _signal_group(child, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=_SECONDS_TO_LEAVE)
    finally:  # also where a second signal ends the waiting
        _signal_group(child, signal.SIGKILL)
        child.wait()


def _sweep(child: subprocess.Popen[str]) -> None:
    # A forked worker of a dead child holds the pipe of the conversation open: without this its end would never come.
    child.wait()
    _signal_group(child, signal.SIGKILL)


def _signal_group(child: subprocess.Popen[str], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # nobody is left; macOS says so with EPERM
        os.killpg(child.pid, number)


def _keep_last_lines(stream: IO[str], lines: collections.deque[str]) -> None:
    for line in stream:
        lines.append(line.rstrip())


def _obituary(function: str, code: int, last_lines: collections.deque[str]) -> str:
    if code < 0:
        name = signal.Signals(-code).name
        cause = f"was killed by {name}" + (" (often: out of memory)" if name == "SIGKILL" else "")
    else:
        cause = f"ended with exit code {code} and no result"
    words = f" Its last words: {last_lines[-1]}" if last_lines else ""
    return f"The process of {function} {cause}.{words}"


@contextlib.contextmanager
def asked_to_leave() -> Iterator[threading.Event]:
    """Let the work, in a child, save its state before it leaves, instead of dying of the first SIGTERM.

    Yields:
        Set when the process is to end: it has `_SECONDS_TO_LEAVE` from then on.
    """
    asked = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: asked.set())
    try:
        yield asked
    finally:
        signal.signal(signal.SIGTERM, before)


def main(argv: list[str]) -> int:
    """Be the child.

    Args:
        argv: The function's name, as "package.module:function".

    Returns:
        The exit code: 0 with a result, 1 with an error.
    """
    # Libraries print to descriptor 1 as well; the conversation moves to a descriptor of its own.
    stream = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    line = sys.stdin.readline()
    alone = threading.Event()
    threading.Thread(target=_leave_with_parent, args=(alone,), daemon=True).start()
    try:
        return _work(argv[0], line, Reporter(stream))
    finally:
        if alone.is_set():
            _end_own_group()


def _work(name: str, line: str, reporter: Reporter) -> int:
    try:
        module, _, attribute = name.partition(":")
        function = getattr(importlib.import_module(module), attribute)
        request_class = typing.get_type_hints(function)["work"]
        result = function(request_class.model_validate_json(line), reporter)
        reporter.send("result", result | {"peak_memory_bytes": _peak_memory()})
    except ThawError as error:
        reporter.send("error", {"class": type(error).__name__, "message": str(error)})
        return 1
    except Exception as error:  # noqa: BLE001 (the border of the process: whatever it is, the parent must be told)
        traceback.print_exc()
        reporter.send("error", {"class": "ThawError", "message": f"{name}: {type(error).__name__}: {error}"})
        return 1
    return 0


def _peak_memory() -> int:
    if _STATUS.exists():  # Linux, where getrusage counts what the parent held when it started this process
        (line,) = [line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage counts in bytes there, in kilobytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _leave_with_parent(alone: threading.Event) -> None:
    # Not through sys.stdin, whose lock a thread that waits in it would keep from the interpreter's own end.
    while os.read(0, 4096):  # ends when the parent has its answer, or is dead
        pass
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:  # the work saves its state first
        alone.set()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_SECONDS_TO_LEAVE)
    _end_own_group()


def _end_own_group() -> None:
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)  # with all that this process started
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
