"""Runs that are killed at random moments, again and again, end in the same bytes as one that was never disturbed."""

import json
import random
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import FAULT_POINTS
from tests.faults.processes import children_that_do, still_there, tree
from tests.prefect_server import Thaw
from tests.support import small_recipe, write_pictures
from thaw.pipeline_config.yaml_dialect import write_yaml
from thaw.tasks.home import Home

SEED = 20_240_229
SECONDS_TO_LEAVE = 12
TRAINING = "thaw.tasks.training.work:train_stage"


def outcome(done: dict[str, Any]) -> dict[str, Any]:
    """What has to be the same."""
    release = Path(done["release"]["path"])
    files = {name: (release / name).read_bytes() for name in ("history.parquet", "predictions.parquet", "metrics.json")}
    stages = [(stage["name"], stage["epochs"], stage["weights_sha256"]) for stage in done["stages"]]
    return {"stages": stages, "metrics": done["metrics"], "release": done["release"]["id"], **files}


def check_champion(home: Path, recipe: str) -> None:
    registry = Home.open(home).registry
    champion = registry.champion(recipe)
    if champion is not None:
        registry.verify(champion.id)


def kill_tree(run: subprocess.Popen[str]) -> None:
    processes = tree(run.pid)
    for process in processes:
        if process.is_running():
            process.kill()
    run.communicate()
    assert still_there(processes, SECONDS_TO_LEAVE) == []


def finished(thaw: Thaw, *command: Any) -> dict[str, Any]:
    done = thaw(*command, "--json", timeout=900)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def kill_runs(thaw: Thaw, recipe: Any, folder: Path, *, times: int, longest: float) -> int:
    """Kill one run after another in one home folder until a run has ended before its moment; then in the next folder.

    Args:
        thaw: The command.
        recipe: What is run.
        folder: For the home folders.
        times: How many runs are killed.
        longest: Seconds after which a run is killed at the latest.

    Returns:
        The runs that ended; each of them was compared with one that was not disturbed.
    """
    expected = finished(thaw, "run", recipe, "--home", folder / "undisturbed")
    choose, kills, ended = random.Random(SEED), 0, 0
    while kills < times:
        home = folder / f"home-{ended}"
        run = thaw.start("run", recipe, "--home", home, "--json")
        try:
            run.wait(timeout=choose.uniform(1, longest))
        except subprocess.TimeoutExpired:
            kill_tree(run)
            check_champion(home, expected["recipe"])
            kills += 1
            continue
        stdout, stderr = run.communicate()
        assert run.returncode == 0, stderr
        assert outcome(json.loads(stdout)) == outcome(expected)
        ended += 1
    last = finished(thaw, "run", recipe, "--home", folder / f"home-{ended}")
    assert outcome(last) == outcome(expected)
    return ended + 1


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    write_pictures(tmp_path / "data", each=20)
    path = tmp_path / "small.yaml"
    path.write_text(write_yaml(small_recipe(tmp_path / "data").model_dump(mode="json", by_alias=True)))
    return path


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_small_run_killed_twice(thaw: Thaw, recipe: Path, tmp_path: Path) -> None:
    kill_runs(thaw, recipe, tmp_path, times=2, longest=20)


@pytest.mark.slow
@pytest.mark.timeout(5400)
def test_digits_killed_at_twenty_random_moments(thaw: Thaw, tmp_path: Path, record_property) -> None:
    ended = kill_runs(thaw, "digits", tmp_path, times=20, longest=60)
    record_property(FAULT_POINTS, f"digits killed at 20 random moments (seed {SEED}): {ended} runs ended alike")


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_training_child_of_digits_killed_at_ten_random_moments(thaw: Thaw, tmp_path: Path, record_property) -> None:
    expected = finished(thaw, "run", "digits", "--home", tmp_path / "undisturbed")
    choose = random.Random(SEED)
    settings = ["execution.retries=10", "execution.retry_delay_seconds=0"]
    options = [part for setting in settings for part in ("--set", setting)]
    kills = runs = 0
    while kills < 10:
        home = tmp_path / f"home-{runs}"
        run = thaw.start("run", "digits", "--home", home, "--json", *options)
        kills += kill_children(run, choose, 10 - kills, home)
        stdout, stderr = run.communicate(timeout=900)
        assert run.returncode == 0, stderr
        assert outcome(json.loads(stdout)) == outcome(expected)
        runs += 1
    record_property(FAULT_POINTS, f"training child killed at {kills} random moments (seed {SEED}): {runs} runs alike")


def kill_children(run: subprocess.Popen[str], choose: random.Random, most: int, home: Path) -> int:
    """Kill each training child some time after it has begun, and let the rest of the run go on."""
    kills = 0
    while run.poll() is None and kills < most:
        children = children_that_do(run.pid, TRAINING)
        if not children:
            time.sleep(0.2)
            continue
        for child in still_there(children, choose.uniform(1, 25)):
            if child not in children_that_do(run.pid, TRAINING):
                continue  # it goes on with another step
            child.kill()
            assert still_there([child], SECONDS_TO_LEAVE) == []
            check_champion(home, "digits")
            kills += 1
    return kills
