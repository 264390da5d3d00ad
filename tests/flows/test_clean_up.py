"""The deployment that cleans up: real runs of it, on a real server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cleanup import homes
from tests.flows.test_serve import last_state, scheduled_recipe, serving
from tests.flows.waiting import wait_for
from tests.prefect_server import Thaw
from thaw.tasks.artifacts.in_use import home_in_use
from thaw.tasks.home import Home


def test_times_that_are_none_are_refused_before_anything_is_served(thaw: Thaw) -> None:
    done = thaw("serve", "digits", "--gc", "0 4 * *")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("thaw: --gc must be five fields: minute hour day month weekday")


@pytest.fixture(scope="module")
def served(thaw: Thaw, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home folder with a champion and an old run that was worse, as long as it is served."""
    recipe = scheduled_recipe(tmp_path_factory.mktemp("cleaned"), "cleaned", "0 6 * * 1")
    home = recipe.parent / "home"
    homes.run(home, "cleaned", "champion", 0.9)
    homes.run(home, "cleaned", "worse", 0.1)
    homes.let_time_pass(home)
    with serving(thaw, recipe, "--gc", "0 4 * * *"):
        yield home


def start(thaw: Thaw, **parameters: Any) -> str:
    (deployment,) = thaw.api("deployments/filter", {"flows": {"name": {"any_": ["gc"]}}})
    assert (deployment["name"], deployment["schedules"][0]["schedule"]["cron"]) == ("home", "0 4 * * *")
    run: str = thaw.api(f"deployments/{deployment['id']}/create_flow_run", {"parameters": parameters})["id"]
    return run


def state_of(thaw: Thaw, run: str) -> tuple[str, str]:
    state = thaw.api(f"flow_runs/{run}", {}, "GET")["state"]
    return state["name"], state["message"] or ""


def lines_of(thaw: Thaw, run: str) -> list[str]:
    return [log["message"] for log in thaw.api("logs/filter", {"logs": {"flow_run_id": {"any_": [run]}}})]


@pytest.mark.slow
def test_a_run_of_it_removes_what_nothing_needs_and_waits_while_the_home_folder_is_in_use(
    thaw: Thaw, served: Path
) -> None:
    with home_in_use(served):
        run = start(thaw, keep_releases=0)
        wait_for(lambda: any("Waits until no run" in line for line in lines_of(thaw, run)), 120)
        assert len(Home.open(served).registry.ids()) == 2
    assert last_state(thaw, run) == "COMPLETED"
    assert state_of(thaw, run)[1].startswith("Freed ")
    assert len(Home.open(served).registry.ids()) == 1


@pytest.mark.slow
def test_a_run_that_is_asked_for_what_cannot_be_fails_at_once(thaw: Thaw, served: Path) -> None:
    run = start(thaw, older_than="yesterday")
    assert last_state(thaw, run) == "FAILED"
    assert state_of(thaw, run)[1] == "must be a whole number and a unit: 45m, 12h, 30d or 2w. Received: 'yesterday'."
