"""The remembered results of runs: their order, and what a later run reads of them."""

import json
import threading
import time
from pathlib import Path

import pytest

from tests.cleanup import homes
from thaw.tasks.home import Home
from thaw.tasks.runs import read_run_records, remember


def sequences(home: Path) -> list[int]:
    return sorted(record.content.sequence for record in read_run_records(home) if record.content is not None)


def test_runs_are_numbered_whatever_the_clock_says(tmp_path, monkeypatch):
    for number, jump in enumerate((0, -homes.DAY, homes.DAY, -homes.DAY)):
        now = time.time() + jump
        monkeypatch.setattr(time, "time", lambda now=now: now)
        homes.run(tmp_path, "digits", f"run {number}", 0.5)
    assert sequences(tmp_path) == [1, 2, 3, 4]


def test_two_runs_at_once_get_two_numbers(tmp_path):
    first = homes.run(tmp_path, "digits", "a", 0.5)
    result = homes.result_of(tmp_path, first)
    keys = [homes.key_named(str(number)) for number in range(12)]
    threads = [threading.Thread(target=remember, args=(Home.open(tmp_path), key, result)) for key in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sequences(tmp_path) == list(range(1, 14))


@pytest.mark.parametrize("content", ["{", "{}", json.dumps({"sequence": "x"})])
def test_a_damaged_result_is_passed_over(tmp_path, content):
    run = homes.run(tmp_path, "digits", "a", 0.5)
    assert homes.result_of(tmp_path, run).release.id == run.release
    (tmp_path / "runs" / f"{run.last_key}.json").write_text(content)
    assert not run.is_up_to_date(tmp_path)
    assert sequences(tmp_path) == []


def test_a_result_that_was_remembered_without_a_number_counts_as_the_first(tmp_path):
    run = homes.run(tmp_path, "digits", "a", 0.5)
    path = tmp_path / "runs" / f"{run.last_key}.json"
    document = json.loads(path.read_text())
    del document["sequence"]
    path.write_text(json.dumps(document))
    assert sequences(tmp_path) == [0]
    assert run.is_up_to_date(tmp_path)
