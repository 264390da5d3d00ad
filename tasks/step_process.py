"""The process of steps: it works on one request after another, for as long as all goes well and its parent wants more.

`python -m thaw.tasks.step_process [module …]` imports the modules while it waits for its first request. It reads
requests from standard input, two lines each: "package.module:function", and one JSON document for the function. It
answers on standard output with one JSON document a line: `{"progress": …}`, `{"log": …}` or `{"warning": …}`, then
`{"result": {"facts": …, "cost": …, "takes_another": …}}` or `{"error": …}`, after which it ends. One that takes another
says `{"ready": true}` when it has forgotten the last. Standard input stays open while the parent lives, and its end
tells the process to leave. What libraries print goes to standard error.
"""

import contextlib
import ctypes
import gc
import importlib
import os
import queue
import random
import resource
import signal
import sys
import threading
import time
import traceback
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
from pydantic_core import to_jsonable_python

from thaw.pipeline_config.errors import ThawError
from thaw.tasks.artifacts.refusals import full_disk, remember_what_is_opened
from thaw.tasks.process import SECONDS_TO_LEAVE, Reporter, Work

_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"  # proc_pid_clear_refs(5)
_NAME = Path("/proc/self/comm")
_IDLE = "thaw-idle"

# Keras imports them for functions that thaw does not call, where they are there: a quarter of its import's time.
_NOT_FOR_KERAS = ("matplotlib", "sklearn")


def main(argv: Sequence[str]) -> int:
    """Be the process; `argv` names modules to import early. Returns the exit code: 0 with a result, 1 with an error."""
    # Libraries print to descriptor 1 as well; the conversation moves to a descriptor of its own.
    reporter = Reporter(os.fdopen(os.dup(1), "w"))
    os.dup2(2, 1)
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    alone = threading.Event()
    threading.Thread(target=_listen, args=(lines, alone), daemon=True).start()
    _show(_IDLE)
    remember_what_is_opened()
    _import_early(argv)
    measured = True
    try:
        while (code := _work(lines.get(), lines.get(), reporter, measured)) is None:
            _show(_IDLE)
            _forget()
            measured = _reset_peak_memory()
            reporter.send("ready", True)
        return code
    finally:
        if alone.is_set():
            _end_own_group()


def _show(name: str) -> None:
    with contextlib.suppress(OSError):  # only Linux has it: what `top` and `ps -o comm` show, its first 15 letters
        _NAME.write_text(name)


def _import_early(modules: Sequence[str]) -> None:
    loaded = typing.cast(dict[str, Any], sys.modules)
    hidden = [name for name in _NOT_FOR_KERAS if name not in loaded]
    loaded.update(dict.fromkeys(hidden))  # as if they were not installed
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception:  # noqa: BLE001 (the step that needs it fails of it, and says so)
            traceback.print_exc()
    for name in hidden:
        del loaded[name]


def _work(name: str, request: str, reporter: Reporter, measured: bool) -> int | None:
    """Do one step's work; returns the exit code, or None where the process can take another step."""
    work: Any = None
    try:
        module, _, attribute = name.partition(":")
        _show(attribute)
        function = getattr(importlib.import_module(module), attribute)
        request_class = typing.get_type_hints(function)["work"]
        started, reporter.seconds_before = time.monotonic(), 0.0
        work = request_class.model_validate_json(request)
        facts = to_jsonable_python(function(work, reporter))
        seconds = reporter.seconds_before + time.monotonic() - started
        cost = {"seconds": seconds, "peak_memory_bytes": _peak_memory() if measured else None}
        takes_another = _is_as_new()
        reporter.send("result", {"facts": facts, "cost": cost, "takes_another": takes_another})
    except ThawError as error:
        reporter.send("error", {"class": type(error).__name__, "message": str(error)})
        return 1
    except Exception as error:  # noqa: BLE001 (the border of the process: whatever it is, the parent must be told)
        traceback.print_exc()
        full = full_disk(error, work.folder) if isinstance(work, Work) else None
        told = full or ThawError(f"{name}: {type(error).__name__}: {error}")
        reporter.send("error", {"class": type(told).__name__, "message": str(told)})
        return 1
    return None if takes_another else 0


def _is_as_new() -> bool:
    """Say whether the next step would find here what it finds in a new process, once the memory is cleared."""
    if psutil.Process().children() or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return False
    if (tensorflow := sys.modules.get("tensorflow")) is None:
        return True
    # What TensorFlow holds of a GPU it gives back when the process ends. Nor can be undone there: which GPUs are
    # visible, and that operations are deterministic, which they always are on a CPU.
    kinds = {device.device_type for device in tensorflow.config.list_physical_devices()}
    return kinds <= {"CPU"} and "TPU_NAME" not in os.environ


def _forget() -> None:
    """Clear what the last step left: Keras's names, settings and graphs, the seeds, and its memory."""
    if (keras := sys.modules.get("keras")) is not None:
        keras.utils.clear_session(free_memory=False)
    if (tensorflow := sys.modules.get("tensorflow")) is not None:
        tensorflow.random.set_seed(None)
        # TensorFlow registers the custom gradients of a graph for good, and keeps the graph with them, and with it the
        # stage's weights. Optimizers use some in every training function. There is no public way to remove them
        # (TensorFlow 2.21).
        gradients = sys.modules["tensorflow.python.framework.ops"].gradient_registry._registry
        for name in [name for name in gradients if name.startswith("CustomGradient-")]:
            del gradients[name]
    if (numpy := sys.modules.get("numpy")) is not None:
        numpy.random.seed()
    random.seed()
    gc.collect()
    with contextlib.suppress(AttributeError):  # only glibc has it, and only glibc keeps so much that is free
        ctypes.CDLL(None).malloc_trim(0)


def _reset_peak_memory() -> bool:
    """Let the peak count from now on; returns whether the system can do that."""
    try:
        _CLEAR_REFS.write_text(_RESET_PEAK)
    except OSError:  # no Linux, or not allowed here: then the next step's peak is not known
        return False
    return True


def _peak_memory() -> int:
    if _STATUS.exists():  # Linux, where getrusage counts what the parent held when it started this process
        (line,) = [line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage counts in bytes there, in kilobytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _listen(lines: queue.SimpleQueue[str], alone: threading.Event) -> None:
    # Not through sys.stdin, whose lock a thread that waits in it would keep from the interpreter's own end.
    unfinished = bytearray()
    while received := os.read(0, 1 << 16):  # ends when the parent wants no more, or is dead
        unfinished += received
        *whole, unfinished = unfinished.split(b"\n") if b"\n" in received else [unfinished]
        for line in whole:
            lines.put(line.decode())
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:  # the work saves its state first
        alone.set()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(SECONDS_TO_LEAVE)
    _end_own_group()


def _end_own_group() -> None:
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)  # with all that this process started
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
