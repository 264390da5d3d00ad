"""Two runs of one recipe at once: everything is built once, also where one of them is killed."""

import collections
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.faults.processes import children_that_do, still_there, tree, wait_until
from tests.prefect_server import Thaw
from tests.support import small_recipe, write_pictures
from thaw.pipeline_config.yaml_dialect import write_yaml
from thaw.tasks.home import Home

WORK = [
    "thaw.tasks.ingest.work:ingest",
    "thaw.tasks.records.work:write_records",
    "thaw.tasks.training.work:train_stage",
    "thaw.tasks.evaluation.work:evaluate",
    "thaw.tasks.report.work:write_report",
    "thaw.tasks.publishing.work:write_release",
]


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    write_pictures(tmp_path / "data", each=20)
    path = tmp_path / "small.yaml"
    path.write_text(write_yaml(small_recipe(tmp_path / "data").model_dump(mode="json", by_alias=True)))
    return path


def result_of(run: subprocess.Popen[str]) -> dict[str, Any]:
    return result_and_log(run)[0]


def result_and_log(run: subprocess.Popen[str]) -> tuple[dict[str, Any], str]:
    stdout, stderr = run.communicate(timeout=300)
    assert run.returncode == 0, stderr
    return json.loads(stdout), stderr


def assert_one_release(home: Path) -> None:
    registry = Home.open(home).registry
    (release,) = registry.list()
    registry.verify(release.id)
    assert release.is_champion
    assert len(registry.log()) == 1
    assert list((home / "building").iterdir()) == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_each_step_is_built_once(thaw: Thaw, recipe: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    runs = [thaw.start("run", recipe, "--home", home, "--json") for _ in range(2)]
    seen: dict[str, set[int]] = collections.defaultdict(set)

    def all_ended() -> bool:
        for run in runs:
            for function in WORK:
                seen[function].update(run.pid for _ in children_that_do(run.pid, function))
        return all(run.poll() is not None for run in runs)

    wait_until(all_ended, 300, "the end of both runs")
    (first, first_log), (second, second_log) = (result_and_log(run) for run in runs)
    assert seen["thaw.tasks.training.work:train_stage"]
    assert all(len(builders) <= 1 for function, builders in seen.items() if "training" not in function)
    for words in ("stage_one, before the first step", "stage_two, before the first step", "Stage two earned"):
        assert (first_log + second_log).count(words) == 1
    assert [task["digest"] for task in first["tasks"]] == [task["digest"] for task in second["tasks"]]
    assert first["release"] == second["release"]
    assert_one_release(home)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_one_takes_over_when_the_other_is_killed(thaw: Thaw, recipe: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    command = ("run", recipe, "--home", home, "--json", "--set", "stage_one.epochs=60")

    def in_stage_one() -> int:
        states = {"task_runs": {"name": {"any_": ["stage_one"]}, "state": {"type": {"any_": ["RUNNING"]}}}}
        return len(thaw.api("task_runs/filter", states))

    already = in_stage_one()  # runs that other tests killed are Running for ever
    one = thaw.start(*command)
    wait_until(lambda: in_stage_one() == already + 1, 120, "the first run's stage one")
    other = thaw.start(*command)
    wait_until(lambda: in_stage_one() == already + 2, 120, "the second run's stage one")
    assert children_that_do(one.pid, WORK[2])
    assert children_that_do(other.pid, WORK[2]) == [], "it should wait for the first one's lock"
    processes = tree(one.pid)
    for process in processes:
        process.kill()
    one.communicate()
    assert still_there(processes, 12) == []
    result = result_of(other)
    assert result["verdict"] == "first"
    assert_one_release(home)
