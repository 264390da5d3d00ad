"""The log of a run: whatever is said it holds in order, never grows past its bound, and ends no run."""

import json
import threading
import time
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thaw.pipeline_config.errors import RequestError
from thaw.tasks import run_logs
from thaw.tasks.progress import Event, belongs_to, emit, last_line, log_line, part_of_run, subscribed
from thaw.tasks.run_logs import RunLog, find_log, log_folders, read_log

RUN = str(UUID(int=1))


def write(home: Path, *texts: str, run: str = RUN) -> Path:
    log = RunLog(home, run)
    with subscribed(log):
        for text in texts:
            emit(Event("stage_one", "log", text))
    log.close()
    return find_log(home, run)


def messages(folder: Path, *, follow: bool = False) -> list[str]:
    return [line["message"] for line in read_log(folder, follow=follow)]


@given(st.text(), st.sampled_from(["progress", "detail", "log", "warning", "error"]))
def test_whatever_is_said_is_one_line_of_ascii_that_holds_it(text, kind):
    line = log_line(Event("stage_one", kind, text, time=1.5))
    assert line.isascii()
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "1970-01-01T00:00:01.500+00:00",
        "level": "debug" if kind in ("progress", "detail") else {"log": "info"}.get(kind, kind),
        "recipe": None,
        "run": None,
        "part": None,
        "task": "stage_one",
        "message": text,
    }


def test_a_line_says_which_recipe_run_part_and_task_it_is_of(tmp_path):
    log = RunLog(tmp_path, RUN)

    def tell():  # in a thread, whose context ends with it
        belongs_to(recipe="flowers", run=RUN)
        with subscribed(log), part_of_run("flowers, seed 1"):
            emit(Event("stage_one", "warning", "odd"))
        assert json.loads(last_line("the end", traceback="T")) | {"time": ""} == {
            "time": "",
            "level": "error",
            "recipe": "flowers",
            "run": RUN,
            "part": None,
            "task": None,
            "message": "the end",
            "traceback": "T",
        }

    thread = threading.Thread(target=tell)
    thread.start()
    thread.join()
    (line,) = read_log(find_log(tmp_path, None), follow=False)
    assert {name: line[name] for name in line if name != "time"} == {
        "level": "warning",
        "recipe": "flowers",
        "run": RUN,
        "part": "flowers, seed 1",
        "task": "stage_one",
        "message": "odd",
    }


def test_what_is_secret_in_an_address_reaches_no_subscriber():
    heard: list[Event] = []
    with subscribed(heard.append):
        emit(Event("ingest", "log", "from https://ann:pw@host/a.zip?token=hidden, at once"))
    assert [event.text for event in heard] == ["from https://host/a.zip?token=REMOVED, at once"]


def test_a_log_that_grows_keeps_the_last_lines_in_two_files(tmp_path, monkeypatch):
    monkeypatch.setattr(run_logs, "_MOST_BYTES", 2000)
    texts = [f"line {number}" for number in range(100)]
    folder = write(tmp_path, *texts)
    assert {path.name for path in folder.iterdir()} <= {"log.jsonl", "log.1.jsonl"}
    assert sum(path.stat().st_size for path in folder.iterdir()) < 2 * 2300
    kept = messages(folder)
    assert 10 < len(kept) < 30
    assert kept == texts[-len(kept) :]


def test_a_follower_hears_every_line_once_also_past_a_rotation_and_leaves_when_the_run_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(run_logs, "_MOST_BYTES", 2000)
    monkeypatch.setattr(run_logs, "_SECONDS_BETWEEN_LOOKS", 0.01)
    log, texts = RunLog(tmp_path, RUN), [f"line {number}" for number in range(30)]  # two rotations
    heard: list[str] = []
    with subscribed(log):
        emit(Event("stage_one", "log", texts[0]))
        follower = threading.Thread(target=lambda: heard.extend(messages(find_log(tmp_path, None), follow=True)))
        follower.start()
        for text in texts[1:]:
            time.sleep(0.05)
            emit(Event("stage_one", "log", text))
        assert follower.is_alive()
        log.close()
    follower.join(20)
    assert heard == texts


def test_the_last_run_is_found_and_any_other_by_the_beginning_of_its_id(tmp_path):
    with pytest.raises(RequestError, match=r"There is no log in .*thaw run"):
        find_log(tmp_path, None)
    ids = [str(UUID(int=number << 100)) for number in (3, 0x31)]
    for run in ids:
        write(tmp_path, run, run=run)
        time.sleep(0.02)
    (tmp_path / "runs" / "logs" / "notes").mkdir()
    assert [folder.name for folder in log_folders(tmp_path)] == ids[::-1]
    assert messages(find_log(tmp_path, None)) == [ids[1]]
    assert messages(find_log(tmp_path, ids[0][:9].upper())) == [ids[0]]
    with pytest.raises(RequestError, match="2 runs have an id that begins with '0000'"):
        find_log(tmp_path, "0000")
    with pytest.raises(RequestError, match=f"no log of a run 'ff' in .* The last run is {ids[1]}"):
        find_log(tmp_path, "ff")


def test_a_line_that_was_cut_short_is_passed_over(tmp_path):
    folder = write(tmp_path, "whole", "cut")
    path = folder / "log.jsonl"
    path.write_bytes(path.read_bytes()[:-20] + b"\n\xff\n[]\n")
    write(tmp_path, "after")
    assert messages(folder) == ["whole", "after"]


def test_where_the_log_cannot_be_written_the_work_goes_on_and_one_warning_says_so(tmp_path):
    (tmp_path / "runs").write_text("no folder")
    log, heard = RunLog(tmp_path, RUN), list[Event]()
    with subscribed(heard.append), subscribed(log):
        for number in range(3):
            emit(Event("stage_one", "log", str(number)))
    warnings = [event.text for event in heard if event.kind == "warning"]
    assert [event.text for event in heard if event.kind == "log"] == ["0", "1", "2"]
    assert len(warnings) == 1
    assert warnings[0].startswith("The run goes on, but not all of it is in its log: ")
