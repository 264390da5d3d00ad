"""The clock jumps a day back and forth between runs: keys, the order of releases and the latest one stay the same."""

import datetime
import os
import time
from pathlib import Path

import pytest

from tests.artifacts.steps import LetterStep, write_letters
from tests.faults.chain import tiny_recipe
from tests.faults.conftest import Finished
from tests.publishing.helpers import assert_consistent, champion_id, id_of, run
from thaw.flows.plan import plan
from thaw.tasks.home import Home

DAY = 86_400
JUMPS = [0, -DAY, DAY]


class Clock:
    """What the programs of this process take for the time."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.offset = 0
        real_time, real_ns = time.time, time.time_ns
        clock = self

        class Shifted(datetime.datetime):
            @classmethod
            def now(cls, tz=None):
                return super().now(tz) + datetime.timedelta(seconds=clock.offset)

        patch.setattr(time, "time", lambda: real_time() + self.offset)
        patch.setattr(time, "time_ns", lambda: real_ns() + self.offset * 10**9)
        patch.setattr("thaw.tasks.releases.registry.datetime", Shifted)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_releases_keep_their_order(tmp_path: Path, clock: Clock) -> None:
    tags = ["a", "b", "c", "d"]
    for number, tag in enumerate(tags):
        clock.offset = JUMPS[number % len(JUMPS)]
        run(tmp_path, "digits", tag, 0.5 + number / 10)
        assert champion_id(tmp_path, "digits") == id_of("digits", tag)
        assert_consistent(tmp_path)
    log = Home.open(tmp_path).registry.log()
    assert [entry.release for entry in log] == [id_of("digits", tag) for tag in tags]
    assert [entry.time for entry in log] != sorted(entry.time for entry in log)  # or the clock never went back
    clock.offset = -2 * DAY
    assert Home.open(tmp_path).registry.rollback("digits", "a day before all of them").id == id_of("digits", "c")
    assert champion_id(tmp_path, "digits") == id_of("digits", "c")


def test_what_is_built_is_found_again(tmp_path: Path, clock: Clock) -> None:
    store, built = Home.open(tmp_path).store, []

    def work(folder):
        built.append(folder)
        return write_letters(folder)

    keys = set()
    for offset in [*JUMPS, 0]:
        clock.offset = offset
        step = LetterStep(text="x")
        store.build(step, work)
        keys.add(step.key)
        for path in tmp_path.rglob("*"):
            os.utime(path, (time.time(), time.time()))
    assert len(keys) == len(built) == 1


def test_a_finished_run_stays_up_to_date(finished: Finished, clock: Clock) -> None:
    for offset in JUMPS:
        clock.offset = offset
        assert plan(tiny_recipe(finished.data), Home.open(finished.home)).up_to_date
