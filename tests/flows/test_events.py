"""The events that thaw sends to Prefect's server: what each says, and that none ends what it tells of."""

import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from prefect import flow
from prefect.settings import PREFECT_API_URL, temporary_settings

from tests.api_proxy import proxied
from tests.flows.waiting import wait_for
from tests.prefect_server import Thaw
from tests.report.synthetic import make_verdict
from thaw.flows.events import (
    DATASET_CHANGED,
    RUN_FAILED,
    at_task,
    tell_of_failure,
    tell_of_release,
)
from thaw.pipeline_config.errors import DatasetError


@pytest.fixture
def on_server(thaw: Thaw) -> Iterator[str]:
    """This process uses the tests' server: its address."""
    url = thaw.environment["PREFECT_API_URL"]
    with temporary_settings({PREFECT_API_URL: url}):
        yield url


def events_of(thaw: Thaw, recipe: str) -> list[dict[str, Any]]:
    query = {"filter": {"resource": {"id": [f"thaw.recipe.{recipe}"]}}}
    found: list[dict[str, Any]] = thaw.api("events/filter", query)["events"]
    return found


@flow(name="retrain", on_failure=[tell_of_failure])
def failing(recipe: dict[str, str], error: str) -> None:
    """Fails in a task as a run does."""
    with at_task("verdict"):
        assert recipe
    with at_task("records"):
        raise DatasetError(error)


@flow(name="retrain")
def finding(recipe: str) -> str:
    """Says what became of a model."""
    tell_of_release("kept", recipe, f"{recipe}-0123456789ab", make_verdict())
    return "done"


def test_a_failed_run_says_which_task_failed_of_what_and_no_secret(thaw: Thaw, on_server: str) -> None:
    error = "s3://me:SECRET@host/a?token=SECRET cannot be read. Repair it."
    state = failing({"name": "broken"}, error, return_state=True)
    assert state.is_failed()
    (event,) = wait_for(partial(events_of, thaw, "broken"), 30)
    assert event["event"] == RUN_FAILED
    assert event["resource"] == {"prefect.resource.id": "thaw.recipe.broken", "prefect.resource.name": "broken"}
    (run,) = event["related"]
    assert run["prefect.resource.id"] == f"prefect.flow-run.{event['payload']['run']}"
    assert event["payload"] == {
        "recipe": "broken",
        "run": event["payload"]["run"],
        "state": "Failed",
        "error": "s3://host/a?token=REMOVED cannot be read. Repair it.",
        "task": "records",
    }
    assert "SECRET" not in str(event)


def test_an_event_of_a_release_holds_its_verdict_and_the_run(thaw: Thaw, on_server: str) -> None:
    assert finding("found") == "done"
    (event,) = wait_for(partial(events_of, thaw, "found"), 30)
    payload = event["payload"]
    assert event["event"] == "thaw.release.kept"
    assert (payload["recipe"], payload["release"]) == ("found", "found-0123456789ab")
    assert payload["verdict"] == make_verdict().verdict
    assert event["related"][0]["prefect.resource.id"] == f"prefect.flow-run.{payload['run']}"


def test_an_event_has_arrived_when_the_call_returns(thaw: Thaw) -> None:
    call = "import os; from thaw.flows.events import tell_dataset_changed as tell; tell('fresh', 'folder'); os._exit(7)"
    assert subprocess.run([sys.executable, "-c", call], env=thaw.environment, check=False).returncode == 7
    (event,) = wait_for(partial(events_of, thaw, "fresh"), 30)
    assert (event["event"], event["related"]) == (DATASET_CHANGED, [])
    assert event["payload"] == {"recipe": "fresh", "run": None, "noticed": "folder"}


def test_an_event_that_the_server_refuses_ends_no_run(thaw: Thaw, caplog: pytest.LogCaptureFixture) -> None:
    with proxied(thaw.environment["PREFECT_API_URL"], "answers 500", "/api/events") as proxy:
        proxy.refuses.set()
        with temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{proxy.port}/api"}):
            assert finding("refused") == "done"
            state = failing({"name": "refused"}, "it is broken", return_state=True)
    assert len([request for request in proxy.asked if request.startswith(b"POST /api/events ")]) == 2
    assert "DatasetError: it is broken" in str(state.message)
    assert "does not show an event; the work goes on." in caplog.text


def test_notify_says_in_one_line_what_it_lacks(thaw: Thaw, tmp_path: Path) -> None:
    environment = {name: value for name, value in thaw.environment.items() if name != "PREFECT_API_URL"}
    without = Thaw(environment, tmp_path)("notify", "dataset", "digits")
    assert (without.returncode, without.stderr.count("\n")) == (2, 1)
    assert "prefect server start" in without.stderr
    unserved = thaw("notify", "dataset", "cats_dogs")
    assert unserved.returncode == 2
    assert "no deployment retrain/cats_dogs" in unserved.stderr
