"""Work on several items at once: results in order, and a stream that is not read far ahead."""

import threading
from concurrent.futures import ThreadPoolExecutor

from thaw.tasks.parallel import map_in_order


def test_results_come_in_order_and_the_stream_is_not_read_far_ahead():
    taken = 0
    lock = threading.Lock()
    in_flight = []

    def stream():
        nonlocal taken
        for number in range(100):
            with lock:
                taken += 1
            yield number

    with ThreadPoolExecutor(4) as threads:
        results = []
        for result in map_in_order(threads, lambda number: number * 2, stream(), window=8):
            results.append(result)
            in_flight.append(taken - len(results))
    assert results == [number * 2 for number in range(100)]
    assert max(in_flight) <= 8
