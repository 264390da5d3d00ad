"""What `thaw run` shows while it works: bars on a terminal, plain lines elsewhere."""

import errno
import io
import os
import threading

import pytest
from rich.console import Console

from thaw.flows.commands.live import LiveProgress
from thaw.tasks.progress import Event, emit, part_of_run, subscribed


def shown(events: list[Event], *, terminal: bool) -> str:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=100, markup=False, emoji=False, highlight=False)
    with LiveProgress(console) as live, subscribed(live):
        for event in events:
            emit(event)
    return stream.getvalue()


EVENTS = [
    Event("stage_one", "log", "stage_one, epoch 1 of 2: loss 0.5 [1, 2]"),
    Event("stage_one", "warning", "one thing"),
    Event("stage_one", "progress", "epoch 2 of 2", 0.75),
]


def test_without_a_terminal_there_are_plain_lines_and_no_bar() -> None:
    assert shown(EVENTS, terminal=False) == (
        "thaw: stage_one, epoch 1 of 2: loss 0.5 [1, 2]\nthaw: warning: one thing\n"
    )


def test_on_a_terminal_a_bar_shows_step_share_and_words() -> None:
    text = shown(EVENTS, terminal=True)
    assert "thaw: stage_one, epoch 1 of 2" in text
    assert "75 %" in text
    assert "epoch 2 of 2" in text


def test_nobody_is_told_after_the_block() -> None:
    heard: list[Event] = []
    with subscribed(heard.append):
        emit(EVENTS[0])
    emit(EVENTS[1])
    assert heard == EVENTS[:1]


def test_a_subscriber_that_fails_keeps_no_other_from_hearing(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[Event] = []

    def fail(event: Event) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with subscribed(fail), subscribed(heard.append):
        for event in EVENTS:
            emit(event)
    assert heard == EVENTS
    assert len(caplog.records) == 1


def test_names_are_shown_as_they_are_on_a_terminal() -> None:
    text = shown([Event("[b]one[/x]", "progress", "[/red] :smile:", 0.5)], terminal=True)
    assert "[b]one[/x]" in text
    assert "[/red] :smile:" in text


def test_with_several_runs_every_line_says_which_it_is_about() -> None:
    stream = io.StringIO()
    with LiveProgress(Console(file=stream, width=120)) as live, subscribed(live):
        with part_of_run("small, seed 1"):
            emit(EVENTS[1])
        emit(EVENTS[1])
    assert stream.getvalue() == "thaw: warning: small, seed 1: one thing\nthaw: warning: one thing\n"


def test_runs_in_threads_have_names_of_their_own() -> None:
    heard: list[Event] = []
    both_inside = threading.Barrier(2)

    def tell(name: str) -> None:
        with part_of_run(name):
            both_inside.wait(5)
            emit(Event("stage_one", "log", name))

    threads = [threading.Thread(target=tell, args=(name,)) for name in ("one", "two")]
    with subscribed(heard.append):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted((event.about.part, event.text) for event in heard) == [("one", "one"), ("two", "two")]
