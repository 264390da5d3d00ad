"""A run that is asked to end does so soon, with everything that it started, and Prefect does not show it as running."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.faults.test_killed_run import gone, read_until
from tests.flows.waiting import wait_for
from tests.prefect_server import Thaw
from tests.support import small_recipe, write_pictures
from thaw.pipeline_config.yaml_dialect import write_yaml

SECONDS_TO_END = 15  # ten for the step's process, the rest for Prefect
LONG = ["--set", "stage_one.epochs=500", "--set", "execution.retries=3"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("signals")
    write_pictures(folder / "data", each=20)
    document = small_recipe(folder / "data", name="signals").model_dump(mode="json", by_alias=True)
    (folder / "signals.yaml").write_text(write_yaml(document))
    return folder / "signals.yaml"


@pytest.fixture(scope="module")
def prefect_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("prefect-home")


@pytest.fixture
def start(recipe: Path, prefect_home: Path, thaw: Thaw) -> Iterator[Any]:
    """Starts a run in a process group of its own, as a terminal does; ends it with all of its children."""
    started: list[psutil.Process] = []

    def start_run(home: Path, *options: str, api: bool = False) -> subprocess.Popen[str]:
        environment = thaw.environment if api else without_server(thaw, prefect_home)
        run = subprocess.Popen(
            [sys.executable, "-m", "thaw.flows.cli", "run", str(recipe), "--home", str(home), *LONG, *options],
            env=environment,
            cwd=thaw.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
        )
        read_until(run, "stage_one, epoch 1 ")
        process = psutil.Process(run.pid)
        started.extend([process, *process.children(recursive=True)])
        return run

    yield start_run
    for process in started:
        if process.is_running():
            process.kill()


def without_server(thaw: Thaw, prefect_home: Path) -> dict[str, str]:
    environment = {name: value for name, value in thaw.environment.items() if name != "PREFECT_API_URL"}
    return environment | {"PREFECT_HOME": str(prefect_home)}


def states_in(prefect_home: Path) -> set[str]:
    """The states of the latest run and of its tasks, in the database, whose server has ended."""
    with sqlite3.connect(prefect_home / "prefect.db") as database:
        run, state = database.execute("select id, state_type from flow_run order by created desc limit 1").fetchone()
        tasks = database.execute("select state_type from task_run where flow_run_id = ?", (run,)).fetchall()
    assert len(tasks) == 4
    return {state, *(kind for (kind,) in tasks)}


def states_on_server(thaw: Thaw) -> set[str]:
    newest = {"sort": "EXPECTED_START_TIME_DESC", "limit": 1, "flow_runs": {"name": {"like_": "signals-seed"}}}
    (run,) = thaw.api("flow_runs/filter", newest)
    tasks = thaw.api("task_runs/filter", {"flow_runs": {"id": {"any_": [run["id"]]}}})
    return {run["state_type"], *(task["state_type"] for task in tasks)}


def end(run: subprocess.Popen[str], send: Any) -> list[str]:
    """Send signals to a run; returns its last lines, once it and all that it started are gone."""
    children = psutil.Process(run.pid).children(recursive=True)
    assert any("thaw.tasks.step_process" in " ".join(child.cmdline()) for child in children), (
        "the test needs a step's process"
    )
    started = time.monotonic()
    send()
    _, errors = run.communicate(timeout=60)
    assert gone(children, SECONDS_TO_END)
    assert time.monotonic() - started < SECONDS_TO_END
    lines: list[str] = errors.splitlines()
    return lines


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_on_the_temporary_server_ends_in_good_order(
    start: Any, tmp_path: Path, prefect_home: Path, number: signal.Signals
) -> None:
    run = start(tmp_path / "home")
    assert any("temporary_server" in " ".join(child.cmdline()) for child in psutil.Process(run.pid).children())
    lines = end(run, lambda: os.killpg(run.pid, number))  # a terminal's Ctrl-C goes to the whole group
    assert run.returncode == 128 + number
    assert lines[-1] == f"thaw: interrupted by {number.name}; the same command goes on from where it stopped"
    assert not any("Traceback" in line for line in lines)
    assert states_in(prefect_home) == {"CRASHED", "COMPLETED"}


def test_a_run_on_a_server_ends_in_good_order_and_is_not_tried_again(start: Any, tmp_path: Path, thaw: Thaw) -> None:
    run = start(tmp_path / "home", api=True)
    end(run, run.terminate)
    assert run.returncode == 143
    assert wait_for(lambda: states_on_server(thaw) == {"CRASHED", "COMPLETED"}, 10)
    assert list((tmp_path / "home" / "runs" / "active").iterdir()) == []


def test_more_signals_do_not_disturb_the_end(start: Any, tmp_path: Path, prefect_home: Path) -> None:
    run = start(tmp_path / "home")

    def insist() -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):
            os.killpg(run.pid, number)
            time.sleep(0.1)

    end(run, insist)
    assert run.returncode == 130
    assert states_in(prefect_home) == {"CRASHED", "COMPLETED"}


def test_a_killed_run_leaves_no_process_and_the_next_run_reports_it(
    start: Any, recipe: Path, tmp_path: Path, prefect_home: Path, thaw: Thaw
) -> None:
    run = start(tmp_path / "home")
    end(run, run.kill)
    assert run.returncode == -signal.SIGKILL
    assert "RUNNING" in states_in(prefect_home)
    next_run = Thaw(without_server(thaw, prefect_home), thaw.folder)
    done = next_run("run", recipe, "--home", tmp_path / "home", "--json")
    assert done.returncode == 0, done.stderr
    with sqlite3.connect(prefect_home / "prefect.db") as database:
        for table in ("flow_run", "task_run"):
            assert database.execute(f"select count(*) from {table} where state_type = 'RUNNING'").fetchone() == (0,)
    assert json.loads(done.stdout)["ui_url"] is None
    assert list((tmp_path / "home" / "runs" / "active").iterdir()) == []


def test_a_served_run_that_is_cancelled_leaves_no_process(thaw: Thaw, tmp_path: Path, recipe: Path) -> None:
    document = small_recipe(recipe.parent / "data", name="cancelled")
    stage = document.stage_one.model_copy(update={"epochs": 500})
    document = document.model_copy(update={"stage_one": stage})
    (tmp_path / "cancelled.yaml").write_text(write_yaml(document.model_dump(mode="json", by_alias=True)))
    server = thaw.start("serve", tmp_path / "cancelled.yaml", "--home", tmp_path / "home")
    try:
        query = {"deployments": {"name": {"any_": ["cancelled"]}}}
        (deployment,) = wait_for(lambda: thaw.api("deployments/filter", query), 90)
        run = thaw.api(f"deployments/{deployment['id']}/create_flow_run", {})["id"]

        def steps() -> list[psutil.Process]:
            children = psutil.Process(server.pid).children(recursive=True)
            return [child for child in children if "thaw.tasks.step_process" in " ".join(child.cmdline())]

        def stage_one_runs() -> bool:
            tasks = thaw.api("task_runs/filter", {"flow_runs": {"id": {"any_": [run]}}})
            return ("stage_one", "RUNNING") in [(task["name"], task["state_type"]) for task in tasks]

        wait_for(stage_one_runs, 120)
        children = steps()
        assert children
        time.sleep(3)
        thaw.api(f"flow_runs/{run}/set_state", {"state": {"type": "CANCELLING", "name": "Cancelling"}})

        def state() -> str:
            (found,) = thaw.api("flow_runs/filter", {"flow_runs": {"id": {"any_": [run]}}})
            kind: str = found["state_type"]
            return kind if kind not in ("RUNNING", "CANCELLING") else ""

        assert wait_for(state, 60) == "CANCELLED"
        assert gone(children, SECONDS_TO_END)
        assert steps() == []
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=60)
