"""`thaw serve`: a deployment with the recipe's schedule, whose runs go through."""

import contextlib
import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.flows.waiting import wait_for
from tests.prefect_server import Thaw
from tests.support import small_recipe, write_pictures
from thaw.pipeline_config.yaml_dialect import write_yaml
from thaw.tasks.home import Home

ACTIVE = ["SCHEDULED", "PENDING", "RUNNING"]


def last_state(thaw: Thaw, run: str) -> str:
    """Wait for the end of a run."""

    def state() -> str:
        (found,) = thaw.api("flow_runs/filter", {"flow_runs": {"id": {"any_": [run]}}})
        kind: str = found["state_type"]
        return kind if kind in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED") else ""

    return str(wait_for(state, 240))


@contextlib.contextmanager
def serving(thaw: Thaw, recipe: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """Serve a recipe for the length of a block: the process, and the deployment as it is from then on."""
    since = datetime.now(UTC)
    server = thaw.start("serve", recipe, "--home", recipe.parent / "home")
    try:
        yield server, wait_for(lambda: deployment_of(thaw, recipe.stem, since=since), 90)
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=60)


def deployment_of(thaw: Thaw, name: str, *, since: datetime | None = None) -> dict[str, Any] | None:
    """Read a deployment, if it is there, and asked for its runs since."""
    for found in thaw.api("deployments/filter", {"deployments": {"name": {"any_": [name]}}}):
        polled = found["last_polled"] and datetime.fromisoformat(found["last_polled"])
        if since is None or (polled and polled > since):
            deployment: dict[str, Any] = found
            return deployment
    return None


def scheduled_recipe(folder: Path, name: str, cron: str, **changes: Any) -> Path:
    write_pictures(folder / "data", each=20)
    schedule = {"cron": cron, "timezone": "UTC"}
    recipe = small_recipe(folder / "data", name=name, schedule=schedule, **changes)
    (folder / f"{name}.yaml").write_text(write_yaml(recipe.model_dump(mode="json", by_alias=True)))
    return folder / f"{name}.yaml"


def test_serve_without_a_server_says_how_to_start_one(thaw: Thaw, tmp_path: Path) -> None:
    environment = {name: value for name, value in thaw.environment.items() if name != "PREFECT_API_URL"}
    done = Thaw(environment, tmp_path)("serve", "digits")
    assert done.returncode == 2
    assert "prefect server start" in done.stderr


@pytest.mark.slow
def test_a_served_recipe_runs_by_its_schedule_and_on_demand(thaw: Thaw, tmp_path: Path) -> None:
    recipe = scheduled_recipe(tmp_path, "served", "* * * * *")
    with serving(thaw, recipe) as (_, deployment):
        (schedule,) = deployment["schedules"]
        assert schedule["schedule"] == {"cron": "* * * * *", "timezone": "UTC", "day_or": True}
        assert deployment["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"

        def run_by_schedule() -> str:
            """The first run that the schedule started; with some libraries it never started any."""
            query = {"deployments": {"id": {"any_": [deployment["id"]]}}, "sort": "EXPECTED_START_TIME_ASC"}
            runs = thaw.api("flow_runs/filter", query)
            started = [run["id"] for run in runs if run["auto_scheduled"] and run["start_time"]]
            return started[0] if started else ""

        assert last_state(thaw, wait_for(run_by_schedule, 120)) == "COMPLETED"
        # By its schedule it starts no more, and none goes on that would be in the way of the next.
        thaw.api(f"deployments/{deployment['id']}/pause_deployment", {})
        active = {
            "deployments": {"id": {"any_": [deployment["id"]]}},
            "flow_runs": {"state": {"type": {"any_": ACTIVE}}},
        }
        wait_for(lambda: not thaw.api("flow_runs/filter", active), 240)
        run = thaw.api(f"deployments/{deployment['id']}/create_flow_run", {})
        assert last_state(thaw, run["id"]) == "COMPLETED"
    champion = Home.open(tmp_path / "home").registry.champion("served")
    assert champion is not None
    assert champion.is_champion


@pytest.mark.slow
def test_what_was_paused_stays_paused_and_what_was_not_does_not(thaw: Thaw, tmp_path: Path) -> None:
    recipe = scheduled_recipe(tmp_path, "paused", "0 6 * * 1")
    with serving(thaw, recipe) as (_, deployment):
        assert not deployment["paused"]
    stopped = deployment_of(thaw, "paused")
    assert stopped is not None
    assert not stopped["paused"], "serve paused it at its end"
    thaw.api(f"deployments/{deployment['id']}/pause_deployment", {})
    with serving(thaw, recipe) as (_, deployment):
        assert deployment["paused"], "serve resumed it at its start"
        assert deployment["schedules"][0]["active"]
    thaw.api(f"deployments/{deployment['id']}/resume_deployment", {})
    schedule = deployment["schedules"][0]["id"]
    thaw.api(f"deployments/{deployment['id']}/schedules/{schedule}", {"active": False}, method="PATCH")
    server = thaw.start("serve", recipe, "--home", tmp_path / "home")
    assert server.stderr is not None
    line = next(line for line in server.stderr if "serving" in line)
    assert line.startswith("thaw: serving retrain/paused, by schedule 0 6 * * 1 (UTC), which is paused until you")
    server.terminate()
    server.communicate(timeout=60)


@pytest.mark.slow
def test_of_two_serves_one_can_stop_without_the_other(thaw: Thaw, tmp_path: Path) -> None:
    recipe = scheduled_recipe(tmp_path, "twice", "0 6 * * 1")
    with serving(thaw, recipe) as (_, deployment):
        with serving(thaw, recipe):
            pass
        left = deployment_of(thaw, "twice")
        assert left is not None
        assert not left["paused"]
        run = thaw.api(f"deployments/{deployment['id']}/create_flow_run", {})
        assert last_state(thaw, run["id"]) == "COMPLETED"


@pytest.mark.slow
def test_of_runs_that_nobody_served_one_is_made_up_for_and_the_others_are_cancelled(thaw: Thaw, tmp_path: Path) -> None:
    recipe = scheduled_recipe(tmp_path, "late", "0 6 * * 1")
    with serving(thaw, recipe) as (_, deployment):
        pass
    missed = []
    for hours in (3, 2, 1):
        due = (datetime.now(UTC) - timedelta(hours=hours)).isoformat()
        state = {"type": "SCHEDULED", "state_details": {"scheduled_time": due}}
        missed.append(thaw.api(f"deployments/{deployment['id']}/create_flow_run", {"state": state})["id"])
    with serving(thaw, recipe):
        assert sorted(last_state(thaw, run) for run in missed) == ["CANCELLED", "CANCELLED", "COMPLETED"]
