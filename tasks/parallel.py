"""Work on several items of a stream at once, with the results in the stream's order."""

import collections
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_in_order(
    executor: Executor, function: Callable[[Item], Result], items: Iterable[Item], *, window: int
) -> Iterator[Result]:
    """Apply a function in parallel to a stream that may not fit into memory; results come in the order of the items.

    `window` items are taken from the stream before the oldest one's result is waited for.
    """
    pending: collections.deque[Future[Result]] = collections.deque()
    for item in items:
        pending.append(executor.submit(function, item))
        if len(pending) >= window:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()
