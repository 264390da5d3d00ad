"""The processes of a run that was started as a command."""

import contextlib
import time

import psutil


def tree(pid: int) -> list[psutil.Process]:
    """List a process and all that it started, the parent first."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    return []


def still_there(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Wait for processes to end.

    Args:
        processes: Which.
        seconds: How long.

    Returns:
        Those that did not end.
    """
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    return [process for process in alive if is_alive(process)]


def is_alive(process: psutil.Process) -> bool:
    """Say whether a process runs; one that only waits to be reaped does not."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False


def children_that_do(pid: int, function: str) -> list[psutil.Process]:
    """Find the child processes that do the work of a step; on Linux only, where they carry its name.

    Args:
        pid: The run.
        function: "package.module:function".

    Returns:
        Those that run now.
    """
    name = function.partition(":")[2][:15]  # as much as the kernel keeps
    found = []
    for process in tree(pid)[1:]:
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.name() == name:
                found.append(process)
    return found


def wait_until(condition, seconds: float, words: str) -> None:
    """Ask again and again, until it is so.

    Args:
        condition: Called without arguments.
        seconds: The longest time.
        words: What was waited for, for the message.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain for {words}"
        time.sleep(0.1)
