"""`thaw serve`: a deployment with the recipe's schedule, whose runs go through."""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.flows.waiting import wait_for
from tests.prefect_server import Thaw
from tests.support import small_recipe, write_pictures
from thaw.pipeline_config.yaml_dialect import read_yaml, write_yaml
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
def serving(thaw: Thaw, recipe: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """Serve a recipe for the length of a block: the process, and the deployment as it is from then on."""
    since = datetime.now(UTC)
    server = thaw.start("serve", recipe, *options, "--home", recipe.parent / "home")
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
    (folder / f"{name}.yaml").write_text(write_yaml(recipe.as_written()))
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
def test_a_run_with_one_change_and_one_of_an_earlier_version_go_through(thaw: Thaw, tmp_path: Path) -> None:
    recipe = scheduled_recipe(tmp_path, "changed", "0 6 * * 1")
    earlier = earlier_run(thaw, recipe)
    with serving(thaw, recipe, "--set", "stage_one.epochs=1") as (_, deployment):
        assert "home" not in deployment["parameter_openapi_schema"]["properties"], "the form is the new one"
        assert last_state(thaw, earlier) == "COMPLETED"
        recipe.write_text(f"# edited\n{recipe.read_text()}")
        command = [sys.executable, "-m", "prefect", "deployment", "run", "retrain/changed", "--watch", "--param"]
        for change in ("seed=11", "sed=1"):
            subprocess.run(
                [*command, f'set=["{change}"]'], env=thaw.environment, capture_output=True, timeout=240, check=False
            )
    query = {"flow_runs": {"deployment_id": {"any_": [deployment["id"]]}, "state": {"type": {"not_any_": ACTIVE}}}}
    runs = {run["parameters"].get("set", [""])[0]: run for run in thaw.api("flow_runs/filter", query)}
    done, wrong = runs["seed=11"], runs["sed=1"]
    assert (done["state_type"], wrong["state_type"]) == ("COMPLETED", "FAILED")
    assert {"thaw", "changed", "by hand"} < {*done["tags"]}
    assert {*wrong["tags"]} == {"thaw", "changed", "by hand"}
    assert wrong["state"]["message"].startswith("sed is not a key of the recipe. Nearest: seed.")
    assert wrong["total_run_time"] < 5  # one, where the machine has nothing else to do
    logs = thaw.api("logs/filter", {"logs": {"flow_run_id": {"any_": [done["id"]]}}, "limit": 200})
    assert sum("changed.yaml has changed since thaw serve has read it" in log["message"] for log in logs) == 1
    made = [(path.parent / "recipe.yaml").read_text() for path in tmp_path.glob("home/releases/*/release.json")]
    seeds = sorted((read_yaml(text)["seed"], read_yaml(text)["stage_one"]["epochs"]) for text in made)
    assert seeds == [(3, 2), (11, 1)]


def earlier_run(thaw: Thaw, recipe: Path) -> str:
    """A run that is due of a deployment as thaw made it when the form had all keys of the recipe."""
    parameters = {"recipe": read_yaml(recipe.read_text()), "home": str(recipe.parent / "home")}
    deployment = thaw.api(
        "deployments/",
        {
            "name": recipe.stem,
            "flow_id": thaw.api("flows/", {"name": "retrain"})["id"],
            "entrypoint": "thaw.flows.retrain.retrain",
            "parameters": parameters,
            "parameter_openapi_schema": {"type": "object", "properties": {"recipe": {}, "home": {}, "refresh": {}}},
        },
    )
    run: str = thaw.api(f"deployments/{deployment['id']}/create_flow_run", {})["id"]
    return run


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


def missed_runs(thaw: Thaw, deployment: dict[str, Any]) -> list[str]:
    """Runs of an hourly schedule that nobody served, the newest last."""
    now = datetime.now(UTC)
    start, end = now - timedelta(hours=3), now - timedelta(minutes=5)
    asked = {"start_time": start.isoformat(), "end_time": end.isoformat(), "min_runs": 3, "max_runs": 3}
    thaw.api(f"deployments/{deployment['id']}/schedule", asked)
    missed = {
        "deployments": {"id": {"any_": [deployment["id"]]}},
        "flow_runs": {"state": {"name": {"any_": ["Scheduled", "Late"]}}, "expected_start_time": {"before_": str(end)}},
        "sort": "EXPECTED_START_TIME_ASC",
    }
    return [run["id"] for run in thaw.api("flow_runs/filter", missed) if run["auto_scheduled"]]


@pytest.mark.slow
def test_of_runs_that_nobody_served_the_newest_is_made_up_for_and_so_is_each_by_hand(
    thaw: Thaw, tmp_path: Path
) -> None:
    recipe = scheduled_recipe(tmp_path, "late", "0 * * * *", execution={"overlap": "queue"})
    with serving(thaw, recipe) as (_, deployment):
        assert deployment["concurrency_options"]["collision_strategy"] == "ENQUEUE"
    *older, newest = missed_runs(thaw, deployment)
    assert older
    due = {
        "type": "SCHEDULED",
        "state_details": {"scheduled_time": (datetime.now(UTC) - timedelta(hours=2)).isoformat()},
    }
    by_hand = thaw.api(f"deployments/{deployment['id']}/create_flow_run", {"state": due})["id"]
    with serving(thaw, recipe) as (_, deployment):
        assert {last_state(thaw, run) for run in older} == {"CANCELLED"}
        assert [last_state(thaw, run) for run in (newest, by_hand)] == ["COMPLETED", "COMPLETED"], "one waits"
    (run,) = thaw.api("flow_runs/filter", {"flow_runs": {"id": {"any_": older[:1]}}})
    assert run["state"]["message"] == "Due while nothing served it; schedule.catch_up is latest."
    missed = missed_runs(thaw, deployment)
    with serving(thaw, recipe, "--set", "schedule.catch_up=none"):
        assert missed
        assert {last_state(thaw, run) for run in missed} == {"CANCELLED"}
