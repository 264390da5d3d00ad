"""What the children of the tests run; imported there by name, so it imports little."""

import gc
import importlib
import os
import random
import signal
import subprocess
import sys
import time
import types
from pathlib import Path
from typing import Any, cast

import psutil
from pydantic import BaseModel

from thaw.pipeline_config.errors import DatasetError, StepProcessError
from thaw.tasks.children import run_in_child, sharing_children
from thaw.tasks.process import Reporter, asked_to_leave


class Words(BaseModel):
    """A request.

    Attributes:
        text: Anything.
        folder: Where the child may leave a file.
    """

    text: str = ""
    folder: Path = Path()


def echo(work: Words, reporter: Reporter) -> dict[str, Any]:
    return {"text": work.text, "folder": str(work.folder), "pid": os.getpid(), "backend": os.environ["KERAS_BACKEND"]}


def read_own_name(work: Words, reporter: Reporter) -> dict[str, Any]:
    return {"name": psutil.Process().name(), "pid": os.getpid()}


def report(work: Words, reporter: Reporter) -> dict[str, Any]:
    reporter.progress(0.25, "epoch 1 of 4")
    reporter.log("first line")
    reporter.warn("two\nlines")
    reporter.progress(7, "beyond the end")
    return {}


def fail_on_purpose(work: Words, reporter: Reporter) -> dict[str, Any]:
    raise DatasetError(f"no images: {work.text}")


def fail_by_mistake(work: Words, reporter: Reporter) -> dict[str, Any]:
    raise ZeroDivisionError("by zero")


def answer_what_is_no_json(work: Words, reporter: Reporter) -> dict[str, Any]:
    return {"what": object()}


def leave_at_once(work: Words, reporter: Reporter) -> dict[str, Any]:
    sys.stderr.write("last words\n")
    sys.stderr.flush()
    os._exit(7)


def kill_itself(work: Words, reporter: Reporter) -> dict[str, Any]:
    reporter.log("before")
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def die_in_the_middle_of_a_line(work: Words, reporter: Reporter) -> dict[str, Any]:
    reporter._stream.write('{"log": "half a li')
    reporter._stream.flush()
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def die_and_leave_a_forked_worker(work: Words, reporter: Reporter) -> dict[str, Any]:
    worker = os.fork()  # as multiprocessing does: it holds every pipe open
    if worker == 0:
        time.sleep(60)
        os._exit(0)
    (work.folder / "worker.pid").write_text(str(worker))
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def answer_and_leave_a_worker(work: Words, reporter: Reporter) -> dict[str, Any]:
    worker = subprocess.Popen(["sleep", "60"])
    return {"worker": worker.pid}


def sleep_with_a_worker(work: Words, reporter: Reporter) -> dict[str, Any]:
    worker = subprocess.Popen(["sleep", "60"])
    (work.folder / "pids").write_text(f"{os.getpid()} {worker.pid}")
    reporter.log("asleep")
    time.sleep(60)
    return {}


def sleep_deaf_with_a_deaf_worker(work: Words, reporter: Reporter) -> dict[str, Any]:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the worker inherits it
    return sleep_with_a_worker(work, reporter)


def save_when_asked_to_leave(work: Words, reporter: Reporter) -> dict[str, Any]:
    def save(number, frame):
        (work.folder / "saved").write_text("saved")
        sys.exit(1)

    signal.signal(signal.SIGTERM, save)
    reporter.log("ready")
    time.sleep(60)
    return {}


def save_slowly_when_asked_to_leave(work: Words, reporter: Reporter) -> dict[str, Any]:
    worker = subprocess.Popen(["sleep", "60"])
    (work.folder / "pids").write_text(f"{os.getpid()} {worker.pid}")
    with asked_to_leave() as asked:
        asked.wait(60)
        for _ in range(10):
            reporter.log("saving")  # to a parent that may be dead
            time.sleep(0.1)
        (work.folder / "saved").write_text("saved")
    raise StepProcessError("left")


def print_everywhere(work: Words, reporter: Reporter) -> dict[str, Any]:
    print("printed", flush=True)  # noqa: T201
    os.write(1, b'{"result": {"forged": true}}\n')
    os.system("echo from a program")
    reporter.log("between")
    sys.stderr.buffer.write(b"\xff\xfe not UTF-8\n")
    for _ in range(3000):  # more than a pipe holds
        sys.stderr.write(80 * "x" + "\n")
    return {"done": True}


def hold_memory(work: Words, reporter: Reporter) -> dict[str, Any]:
    held = bytearray(os.urandom(1)) * int(work.text)
    return {"held": len(held), "pid": os.getpid()}


def go_on_after(work: Words, reporter: Reporter) -> dict[str, Any]:
    reporter.seconds_before = float(work.text)
    time.sleep(0.3)
    return {}


def ignore_requests_to_leave(work: Words, reporter: Reporter) -> dict[str, Any]:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return {"pid": os.getpid()}


def use_a_device(work: Words, reporter: Reporter) -> dict[str, Any]:
    device = types.SimpleNamespace(device_type=work.text)
    config = types.SimpleNamespace(list_physical_devices=lambda: [types.SimpleNamespace(device_type="CPU"), device])
    seeds = types.SimpleNamespace(set_seed=lambda seed: None)
    ops = types.SimpleNamespace(gradient_registry=types.SimpleNamespace(_registry={}))
    sys.modules["tensorflow"] = cast(types.ModuleType, types.SimpleNamespace(config=config, random=seeds))
    sys.modules["tensorflow.python.framework.ops"] = cast(types.ModuleType, ops)
    return {"pid": os.getpid()}


def leave_a_library_that_cannot_be_cleared(work: Words, reporter: Reporter) -> dict[str, Any]:
    sys.modules["keras"] = types.ModuleType("keras")
    return {"pid": os.getpid()}


def draw(work: Words, reporter: Reporter) -> dict[str, Any]:
    number = random.random()
    random.seed(0)
    return {"number": number, "pid": os.getpid()}


def import_sklearn(work: Words, reporter: Reporter) -> dict[str, Any]:
    before = sorted(sys.modules)
    importlib.import_module("sklearn")
    return {"before": before, "after": sorted(sys.modules)}


def count_what_is_held(work: Words, reporter: Reporter) -> dict[str, Any]:
    graphs = [held for held in gc.get_objects() if type(held).__name__ == "FuncGraph"]
    return {"graphs": len(graphs), "descriptors": psutil.Process().num_fds()}


def be_a_parent_that_waits(folder: str) -> None:
    """Run as the program of a parent that a test kills while its child waits for work."""
    with sharing_children():
        made = run_in_child(
            "tests.child_functions:echo", Words(), deadline_seconds=60, listener=lambda *_: None, shared=True
        )
        (Path(folder) / "pids").write_text(str(made.facts["pid"]))
        time.sleep(60)


def be_a_parent(folder: str, function: str) -> None:
    """Run as the program of a parent that a test kills."""
    run_in_child(
        f"tests.child_functions:{function}",
        Words(folder=Path(folder)),
        deadline_seconds=60,
        listener=lambda kind, content: None,
    )
