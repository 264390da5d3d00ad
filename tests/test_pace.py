"""The throttle and the counter, without a clock."""

import doctest
import io
import itertools
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thaw.tasks import pace
from thaw.tasks.pace import AtMostEvery, ProgressCounter, TimeLeft
from thaw.tasks.process import Reporter


def test_synopsis_holds():
    assert doctest.testmod(pace).failed == 0


@given(st.lists(st.floats(0, 100), min_size=1, max_size=50), st.floats(0.1, 20))
def test_between_two_times_that_are_due_lie_the_seconds_asked_for(waits, seconds):
    times = [sum(waits[: number + 1]) for number in range(len(waits))]
    clock = iter(times)
    due = AtMostEvery(seconds, clock=clock.__next__)
    said = [time for time in times if due()]
    assert said[0] == times[0]
    assert all(later >= earlier + seconds for earlier, later in itertools.pairwise(said))


def test_counter_says_at_the_end_that_all_is_done_whichever_thread_is_last():
    stream = io.StringIO()
    counter = ProgressCounter(Reporter(stream), 1000, "images checked")
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: counter.advance(), range(1000)))
    lines = [json.loads(line)["progress"] for line in stream.getvalue().splitlines()]
    assert lines[-1] == {"done": 1.0, "text": "1,000 of 1,000 images checked"}
    assert len(lines) < 20


@pytest.mark.parametrize(
    ("seconds", "done", "words"),
    [
        (10, 0.99, "1 s left"),
        (10, 0.5, "10 s left"),
        (100, 0.5, "2 min left"),
        (3600, 0.25, "3 h left"),
        (2, 0.5, ""),
        (9, 0.0, ""),
    ],
)
def test_the_time_that_is_left_is_said_in_round_words_and_not_too_early(seconds, done, words):
    left = TimeLeft(clock=iter([0, seconds]).__next__)
    assert left(0.0) == ""
    assert left(done) == words
