"""Does several jobs of a flow, at most so many at a time, and all of them also where some fail."""

import contextvars
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


def do_all(jobs: Sequence[Job], work: Callable[[Job], Result], workers: int) -> list[Result | Exception]:
    """Do all jobs.

    One worker is this thread, so that a signal ends its job in good order. Several are threads that end with this
    process: a signal ends this function at once, and the processes of the jobs see that their parent is gone, save
    their state and leave.

    Work is called in a copy of this thread's context, in which Prefect keeps the flow. For each job, in order, its
    result is returned, or what it raised.
    """
    if workers == 1:
        return [_attempt(work, job) for job in jobs]
    outcomes: dict[int, Result | Exception] = {}
    pending = deque(range(len(jobs)))

    def serve() -> None:
        while True:
            try:
                number = pending.popleft()
            except IndexError:
                return
            outcomes[number] = _attempt(work, jobs[number])

    contexts = [contextvars.copy_context() for _ in range(min(workers, len(jobs)))]
    threads = [threading.Thread(target=context.run, args=(serve,), daemon=True) for context in contexts]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    except BaseException:
        pending.clear()
        raise
    return [outcomes[number] for number in range(len(jobs))]


def _attempt(work: Callable[[Job], Result], job: Job) -> Result | Exception:
    try:
        return work(job)
    except Exception as error:  # noqa: BLE001 (the caller is told of every failure when all jobs are done)
        return error
