"""What a command takes, and how the benchmarks judge it."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest
import typer

from benchmarks import orchestration, scale, whole_job
from benchmarks.empty_flow import TASKS
from benchmarks.input_pipeline import speeds
from benchmarks.measuring import Measured, finish, in_turn, run_measured
from thaw.flows.graph import GRAPH

MEGABYTE = 10**6
HOLD = "import sys, time; held = bytearray(int(sys.argv[1])); held[::4096] = b'x' * len(held[::4096]); time.sleep(1)"


def test_memory_is_that_of_the_largest_process_and_of_all_together() -> None:
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {HOLD!r}, str(10 ** 8)]); print('done')"
    measured = run_measured([sys.executable, "-c", parent], dict(os.environ))
    assert measured.output == "done\n"
    assert 100 * MEGABYTE < measured.largest.resident < 150 * MEGABYTE
    assert measured.largest.own > 100 * MEGABYTE
    assert measured.sum.resident > measured.largest.resident
    assert set(measured.roles) == {"command", "other"}
    assert measured.roles["command"].resident < 50 * MEGABYTE
    assert measured.seconds >= 1 > measured.cpu_seconds > 0


def test_cpu_seconds_hold_those_of_children() -> None:
    burn = "import time; end = time.process_time() + 0.5\nwhile time.process_time() < end: pass"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}])"
    assert run_measured([sys.executable, "-c", parent], dict(os.environ)).cpu_seconds >= 0.5


def test_a_command_that_fails_ends_the_benchmark_with_its_words() -> None:
    with pytest.raises(SystemExit, match="no such thing"):
        run_measured([sys.executable, "-c", "raise SystemExit('no such thing')"], dict(os.environ))


def test_what_is_compared_takes_turns_in_going_first() -> None:
    assert [in_turn(("a", "b"), number)[0] for number in range(4)] == ["a", "b", "a", "b"]


@pytest.mark.parametrize(("passed", "check", "code"), [(True, True, None), (False, True, 1), (False, False, None)])
def test_the_exit_code_says_whether_the_bounds_hold_if_it_is_asked(
    capsys: pytest.CaptureFixture[str], passed: bool, check: bool, code: int | None
) -> None:
    try:
        finish({"benchmark": "some", "passed": passed}, check=check)
        left = None
    except typer.Exit as exit_:
        left = exit_.exit_code
    assert left == code
    assert json.loads(capsys.readouterr().out)["passed"] is passed


def test_a_wrong_recipe_is_one_line_and_no_traceback() -> None:
    words = [sys.executable, "-m", "benchmarks.scale", "--recipe", "no_such_recipe", "--generated", "10"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "no_such_recipe" in done.stderr


# --------------------------------------------------------------------------------------------------------- whole_job


def runs_of(seconds: list[float], accuracies: list[float]) -> whole_job.Runs:
    runs = whole_job.Runs()
    for number, accuracy in zip(seconds, accuracies, strict=True):
        measured = Measured(seconds=number, cpu_seconds=number)
        measured.largest.see(100, 50)
        measured.sum.see(200, 90)
        runs.add(measured, accuracy, {"a": number / 2})
    return runs


@pytest.mark.parametrize(
    ("seconds", "accuracy", "passed"), [(35.0, 0.981, True), (37.0, 0.981, False), (35.0, 0.970, False)]
)
def test_the_whole_job_passes_if_thaw_is_fast_and_no_less_accurate(
    seconds: float, accuracy: float, passed: bool
) -> None:
    runs = {"thaw": runs_of([seconds] * 2, [accuracy] * 2), "tutorial": runs_of([90.0, 110.0], [0.98, 0.98])}
    limits = [{"seconds": number, "parts": {"a": number}, "images_per_second": {"a": 9.0}} for number in (20.0, 30.0)]
    report = whole_job.report_on(runs, limits, [0, 1], {"train": 1})
    assert report["ratio"] == seconds / 100
    assert (report["times_the_limit"], report["limit_to_tutorial"]) == (seconds / 25, 0.25)
    assert report["passed"] is passed


def test_the_parts_of_a_run_are_all_of_it() -> None:
    document = {"seconds": 90.0, "tasks": [{"name": "ingest", "seconds": 2.0}, {"name": "stage_one", "seconds": 80.0}]}
    parts = whole_job.thaw_parts(document, 100.0)
    assert parts == {"start and end": 10.0, "ingest": 2.0, "stage_one": 80.0, "between tasks": 8.0}


# ------------------------------------------------------------------------------------------------------------- scale


def figures(images: int, seconds: float, peak: int) -> dict[str, Any]:
    return {
        "images": images,
        "seconds": {"ingest": seconds, "verdict": 0.0},
        "bytes": {"ingest": 100.0},
        "own_memory": {"command": 50, "step ingest": peak**2},
        "resident_memory": {"command": 50, "step ingest": peak**2, "ingest": peak},
    }


@pytest.mark.parametrize(
    ("seconds", "peak", "passed"), [(1.05, 110, True), (1.2, 110, False), (1.05, 130, False), (0.2, 90, True)]
)
def test_an_image_may_not_cost_more_where_there_are_more(seconds: float, peak: int, passed: bool) -> None:
    report = scale.judge([figures(10, 1.0, 100), figures(20, 9.0, 900), figures(80, seconds, peak)])
    assert report["passed"] is passed
    assert report["ratios"]["seconds"] == {"ingest": seconds}


# ----------------------------------------------------------------------- orchestration, cached_rerun, input_pipeline


@pytest.mark.parametrize(("plain", "passed"), [(96.0, True), (94.0, False), (101.0, True)])
def test_orchestration_is_what_thaw_takes_beyond_its_steps(plain: float, passed: bool) -> None:
    seconds = dict(zip(orchestration.BOTH, (plain, 100.0), strict=True))
    report = orchestration.report_on(
        {name: [Measured(seconds=value)] for name, value in seconds.items()},
        {name: [{"ingest": 90.0}] for name in seconds},
        server_start=8.0,
    )
    assert report["share"] == pytest.approx(1 - plain / 100)
    assert report["passed"] is passed
    assert report["outside_of_tasks"][orchestration.PREFECT] == 10.0


def test_the_empty_flow_has_as_many_tasks_as_a_run() -> None:
    assert len([node for node in GRAPH if node.may_be_asked is None]) == TASKS


def test_images_a_second_count_each_epoch() -> None:
    assert speeds([[2.0, 3.0], [2.0, 3.0], [9.0, 90.0]], images=60) == {"one epoch": 30.0, "two epochs": 40.0}
