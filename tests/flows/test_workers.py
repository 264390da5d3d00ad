"""Several jobs at a time."""

import contextvars
import threading
import time

import pytest

from thaw.flows.workers import do_all

WHO = contextvars.ContextVar("WHO", default="nobody")


@pytest.mark.parametrize("workers", [1, 2, 9])
def test_results_are_in_the_order_of_the_jobs_and_a_failure_stops_no_other(workers):
    def work(number):
        time.sleep(0.01 * (3 - number % 3))
        if number % 3 == 1:
            raise ValueError(number)
        return number * 10

    outcomes = do_all(range(7), work, workers)
    assert [str(outcome) for outcome in outcomes] == ["0", "1", "20", "30", "4", "50", "60"]
    assert [isinstance(outcome, ValueError) for outcome in outcomes] == [number % 3 == 1 for number in range(7)]


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_never_more_at_a_time_than_asked_for_and_as_many(workers):
    lock, together, at_a_time = threading.Lock(), 0, []

    def work(_):
        nonlocal together
        with lock:
            together += 1
            at_a_time.append(together)
        time.sleep(0.05)
        with lock:
            together -= 1

    do_all(range(6), work, workers)
    assert max(at_a_time) == workers


@pytest.mark.parametrize("workers", [1, 2])
def test_jobs_see_the_context_of_the_caller(workers):
    token = WHO.set("the flow")
    try:
        assert do_all(range(3), lambda _: WHO.get(), workers) == ["the flow"] * 3
    finally:
        WHO.reset(token)


def test_one_worker_is_this_thread_so_that_a_signal_reaches_its_job():
    assert do_all([0], lambda _: threading.current_thread(), 1) == [threading.main_thread()]


def test_an_interruption_ends_the_waiting_and_no_further_job_begins(monkeypatch):
    begun, go_on = [], threading.Event()

    def work(number):
        begun.append(number)
        go_on.wait(5)

    def interrupted(self, timeout=None):
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "join", interrupted)
    with pytest.raises(KeyboardInterrupt):
        do_all(range(5), work, 2)
    go_on.set()
    time.sleep(0.1)
    assert sorted(begun) == [0, 1]


def test_nothing_to_do_is_done():
    assert do_all([], lambda _: None, 2) == []
