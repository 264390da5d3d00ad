"""Says of a task that waits for a slot of a concurrency limit that it does: Prefect itself says nothing."""

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import copy_context

from prefect import get_run_logger

from thaw.tasks.progress import Event, emit
from thaw.tasks.task import full_limits, only_shown

_SECONDS_BETWEEN_LOOKS = 2.0


@contextmanager
def told_of_waiting(task: str, tags: Collection[str], begun: threading.Event) -> Iterator[None]:
    """Say once, in the terminal and in the run's log, which limits a task waits for; the block runs the task.

    Its tags are those with a limit, and `begun` is set when it runs; it is set at the block's end, too.
    """

    def look() -> None:
        while not begun.wait(_SECONDS_BETWEEN_LOOKS):
            with only_shown(task, "that it waits"):
                if (full := full_limits(tags)) and not begun.is_set():
                    limits = " and of ".join(f"{tag!r}, which has {slots}" for tag, slots in sorted(full.items()))
                    text = f"{task} waits for a slot of the limit {limits}: all are taken by other runs."
                    get_run_logger().info(text)
                    emit(Event(task, "log", text))
                    return

    if tags:
        threading.Thread(target=copy_context().run, args=(look,), daemon=True).start()
    try:
        yield
    finally:
        begun.set()
