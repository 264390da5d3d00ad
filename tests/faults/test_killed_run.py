"""A run that is killed publishes nothing, leaves no process behind, and the next run succeeds."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from tests.prefect_server import Thaw
from tests.support import small_recipe, write_pictures
from thaw.pipeline_config.yaml_dialect import write_yaml
from thaw.tasks.home import Home


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    write_pictures(tmp_path / "data", each=20)
    path = tmp_path / "small.yaml"
    path.write_text(write_yaml(small_recipe(tmp_path / "data").model_dump(mode="json", by_alias=True)))
    return path


def read_until(run: subprocess.Popen[str], words: str) -> None:
    assert run.stderr is not None
    for line in run.stderr:
        if words in line:
            return
    pytest.fail(f"the run ended before it said {words!r}")


def gone(processes: list[psutil.Process], seconds: float) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    return not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.slow
def test_killed_during_stage_two_publishes_nothing_and_the_next_run_succeeds(
    thaw: Thaw, recipe: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    before = json.loads(thaw("run", recipe, "--home", home, "--json").stdout)
    settings = ["--set", "stage_two.epochs=40", "--set", "seed=4"]
    run = thaw.start("run", recipe, "--home", home, *settings)
    read_until(run, "stage_two, epoch 2")
    children = psutil.Process(run.pid).children(recursive=True)
    assert children, "the test needs a training child"
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    assert gone(children, 10), "a child outlived the run"

    registry = Home.open(home).registry
    champion = registry.champion("small")
    assert champion is not None
    assert champion.id == before["release"]["id"]
    assert [release.id for release in registry.list()] == [champion.id]
    registry.verify(champion.id)

    after = thaw("run", recipe, "--home", home, *settings, "--json")
    assert after.returncode == 0, after.stderr
    cached = [task["name"] for task in json.loads(after.stdout)["tasks"] if task["cached"]]
    assert cached == ["ingest", "preflight", "records", "stage_one"]
    assert list((home / "building").iterdir()) == []


@pytest.mark.slow
def test_killed_training_child_fails_its_attempt_and_the_retry_succeeds(
    thaw: Thaw, recipe: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    retry = ["--set", "execution.retries=1", "--set", "execution.retry_delay_seconds=0"]
    run = thaw.start("run", recipe, "--home", home, "--json", *retry)
    read_until(run, "stage_one, epoch 1")
    (child,) = [p for p in psutil.Process(run.pid).children() if "thaw.tasks.step_process" in " ".join(p.cmdline())]
    child.kill()
    stdout, stderr = run.communicate(timeout=300)
    assert run.returncode == 0, stderr
    assert json.loads(stdout)["verdict"] == "first"


@pytest.mark.slow
def test_interrupted_run_ends_its_children(thaw: Thaw, recipe: Path, tmp_path: Path) -> None:
    run = thaw.start("run", recipe, "--home", tmp_path / "home", "--set", "stage_one.epochs=60")
    read_until(run, "stage_one, epoch 1")
    children = psutil.Process(run.pid).children(recursive=True)
    started = time.monotonic()
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=60)
    assert run.returncode == 130
    assert gone(children, 10)
    assert time.monotonic() - started < 30
    assert Home.open(tmp_path / "home").registry.list() == []


@pytest.mark.slow
def test_a_stage_that_passes_its_deadline_fails_the_run_with_a_line_that_says_so(
    thaw: Thaw, recipe: Path, tmp_path: Path
) -> None:
    settings = ["--set", "stage_one.epochs=500", "--set", "execution.deadline_minutes=0.5"]
    done = thaw("run", recipe, "--home", tmp_path / "home", *settings)
    assert done.returncode == 1
    assert "passed its deadline of 30 seconds" in done.stderr.splitlines()[-1]
    assert Home.open(tmp_path / "home").registry.list() == []
