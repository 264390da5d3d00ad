"""`thaw serve`: a deployment with the recipe's schedule, whose runs go through."""

import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.prefect_server import Thaw
from tests.support import small_recipe, write_pictures
from thaw.pipeline_config.yaml_dialect import write_yaml
from thaw.tasks.home import Home


def wait_for(what: Any, seconds: float) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := what():
            return found
        time.sleep(0.5)
    return pytest.fail("it did not happen in time")


def last_state(thaw: Thaw, run: str) -> str:
    """Wait for the end of a run."""

    def state() -> str:
        (found,) = thaw.api("flow_runs/filter", {"flow_runs": {"id": {"any_": [run]}}})
        kind: str = found["state_type"]
        return kind if kind in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED") else ""

    return str(wait_for(state, 240))


def test_serve_without_a_server_says_how_to_start_one(thaw: Thaw, tmp_path: Path) -> None:
    environment = {name: value for name, value in thaw.environment.items() if name != "PREFECT_API_URL"}
    done = Thaw(environment, tmp_path)("serve", "digits")
    assert done.returncode == 2
    assert "prefect server start" in done.stderr


@pytest.mark.slow
def test_a_served_recipe_has_its_schedule_and_runs_on_demand(thaw: Thaw, tmp_path: Path) -> None:
    write_pictures(tmp_path / "data", each=20)
    schedule = {"cron": "0 6 * * 1", "timezone": "Europe/Paris"}
    recipe = small_recipe(tmp_path / "data", name="served", schedule=schedule)
    (tmp_path / "served.yaml").write_text(write_yaml(recipe.model_dump(mode="json", by_alias=True)))
    server = thaw.start("serve", tmp_path / "served.yaml", "--home", tmp_path / "home")
    try:
        query = {"deployments": {"name": {"any_": ["served"]}}}
        (deployment,) = wait_for(lambda: thaw.api("deployments/filter", query), 90)
        assert deployment["schedules"][0]["schedule"] == {
            "cron": "0 6 * * 1",
            "timezone": "Europe/Paris",
            "day_or": True,
        }
        assert deployment["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
        by_schedule = {
            "deployments": {"id": {"any_": [deployment["id"]]}},
            "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
        }
        # Prefect plans three runs ahead by default; that it does is not a matter of course (see pyproject.toml).
        assert len(wait_for(lambda: thaw.api("flow_runs/filter", by_schedule), 90)) >= 3
        run = thaw.api(f"deployments/{deployment['id']}/create_flow_run", {})
        assert last_state(thaw, run["id"]) == "COMPLETED"
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=60)
    champion = Home.open(tmp_path / "home").registry.champion("served")
    assert champion is not None
    assert champion.is_champion
