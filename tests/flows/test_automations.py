"""What `thaw serve` has Prefect's server do by itself: runs that are lost, and whom it tells of what."""

import http.server
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.events import Event
from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from pydantic import SecretStr

from tests.flows.waiting import wait_for
from tests.prefect_server import Thaw
from tests.report.synthetic import make_verdict
from tests.support import small_recipe
from thaw.flows.automations import set_up, started_by_new_images
from thaw.flows.events import BecameOfRelease, tell_of_release
from thaw.flows.notification_blocks import notification_blocks
from thaw.pipeline_config.errors import RequestError
from thaw.pipeline_config.schema import Recipe
from thaw.pipeline_config.settings import Settings

SECRET = "planted0secret"


@pytest.fixture(autouse=True)
def on_server(thaw: Thaw) -> Iterator[None]:
    """This process uses the tests' server."""
    with temporary_settings({PREFECT_API_URL: thaw.environment["PREFECT_API_URL"]}):
        yield


@contextmanager
def mailbox() -> Iterator[tuple[str, list[str]]]:
    """A local server that takes what Apprise sends: its address, with a secret in it, and the messages so far."""
    received: list[str] = []

    class Box(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            received.append(f"{message['title']}\n{message['message']}")
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Box) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"json://user:{SECRET}@localhost:{server.server_port}/box?-token={SECRET}", received
        server.shutdown()


def message_about(received: list[str], title: str) -> str:
    return next((message for message in received if message.startswith(title)), "")


def recipe_named(name: str, **retrain: Any) -> Recipe:
    return small_recipe(Path("/nowhere"), name=name, retrain=retrain)


def automations_of(thaw: Thaw, recipe: str) -> dict[str, dict[str, Any]]:
    found = thaw.api("automations/filter", {"limit": 200})
    start = f"thaw: {recipe}, "
    return {each["name"].removeprefix(start): each for each in found if each["name"].startswith(start)}


def run_in_state(thaw: Thaw, recipe: str, kind: str, name: str, message: str) -> str:
    """Make a run, as one of a deployment of the recipe, that comes into a state: its id."""
    flow_id = thaw.api("flows/", {"name": "retrain"})["id"]
    run: str = thaw.api("flow_runs/", {"flow_id": flow_id, "tags": ["thaw", recipe], "name": f"{recipe}-run"})["id"]
    thaw.api(f"flow_runs/{run}/set_state", {"state": {"type": kind, "name": name, "message": message}, "force": True})
    return run


def send_heartbeat(recipe: str, run: str) -> None:
    """Send what Prefect's engine sends for a run of a deployment."""
    heartbeat = Event(
        event="prefect.flow-run.heartbeat",
        resource={"prefect.resource.id": f"prefect.flow-run.{run}"},
        related=[
            {"prefect.resource.id": f"prefect.flow.{uuid4()}", **as_a("flow"), "prefect.resource.name": "retrain"},
            {"prefect.resource.id": f"prefect.tag.{recipe}", **as_a("tag")},
        ],
    )
    with get_client(sync_client=True) as client:
        client.request("POST", "/events", json=[heartbeat.model_dump(mode="json")]).raise_for_status()


def as_a(role: str) -> dict[str, str]:
    return {"prefect.resource.role": role}


@flow(name="retrain")
def telling(recipe: str, became: BecameOfRelease) -> None:
    """Says what became of a model."""
    tell_of_release(became, recipe, f"{recipe}-0123456789ab", make_verdict())


def test_automations_are_made_once_changed_in_place_and_left_alone_where_disabled(thaw: Thaw) -> None:
    with mailbox() as (address, _):
        told = notification_blocks("once", [SecretStr(address)])
        assert notification_blocks("once", [SecretStr(address)]) == told
    set_up(recipe_named("once"), told)
    first = automations_of(thaw, "once")
    assert {*first} == {"lost runs", "failed", "stale", "promoted", "waiting"}
    set_up(recipe_named("once"), told)
    again = automations_of(thaw, "once")
    assert len([each for each in thaw.api("automations/filter", {"limit": 200}) if "once" in each["name"]]) == 5
    # With another trigger, the days that it has counted would begin anew.
    assert {what: (each["id"], each["trigger"]["id"]) for what, each in again.items()} == {
        what: (each["id"], each["trigger"]["id"]) for what, each in first.items()
    }

    thaw.api(f"automations/{first['failed']['id']}", {"enabled": False}, "PATCH")
    set_up(recipe_named("once", stale_after_days=2.0), [])
    changed = automations_of(thaw, "once")
    assert {*changed} == {"lost runs", "failed", "stale"}
    assert changed["stale"]["id"] == first["stale"]["id"]
    assert changed["stale"]["trigger"]["within"] == 2 * 24 * 60 * 60
    assert [action["type"] for action in changed["stale"]["actions"]] == ["do-nothing"]
    assert not changed["failed"]["enabled"]
    assert changed["failed"]["actions"] == first["failed"]["actions"]
    set_up(recipe_named("once", stale_after_days=None), [])
    assert {*automations_of(thaw, "once")} == {"lost runs", "failed"}


def test_a_trigger_that_was_disabled_stays_so_when_the_deployment_is_made_anew() -> None:
    trigger = started_by_new_images("off")
    assert trigger.enabled
    trigger.set_deployment_id(uuid4())
    with get_client(sync_client=True) as client:
        client.pause_automation(client.create_automation(trigger.as_automation()))
    assert not started_by_new_images("off").enabled


def test_a_failed_run_a_promoted_and_a_waiting_model_are_told(thaw: Thaw) -> None:
    with mailbox() as (address, received):
        set_up(recipe_named("heard"), notification_blocks("heard", [SecretStr(address)]))
        time.sleep(2)  # the server's triggers hear of automations by a message
        run = run_in_state(thaw, "heard", "FAILED", "Failed", "DatasetError: /photos is gone.")
        run_in_state(thaw, "unheard", "FAILED", "Failed", "another recipe's")
        telling("heard", "promoted")
        telling("heard", "waiting")
        telling("heard", "kept")
        failed = wait_for(partial(message_about, received, "heard: a run failed"), 60)
        promoted = wait_for(partial(message_about, received, "heard: a new model is in use"), 60)
        waiting = wait_for(partial(message_about, received, "heard: a new model waits for approval"), 60)
        assert len(received) == 3
    assert "heard-run: DatasetError: /photos is gone." in failed
    assert f"/runs/flow-run/{run}" in failed
    for message in (promoted, waiting):
        assert make_verdict().reason in message
        assert "heard-0123456789ab" in message


@pytest.mark.parametrize(
    ("place", "complaint"),
    [
        (f"nosuch://user:{SECRET}@host/{SECRET}", "1. address, nosuch://…, Apprise knows no use"),
        (f"slack://{SECRET}", "1. address, slack://…, Apprise knows no use"),
        ("slack-webhook/nobody", "no notification block 'slack-webhook/nobody'"),
        ("nobody", "no notification block 'nobody'"),
    ],
)
def test_whom_the_server_cannot_tell_is_refused_without_a_secret(
    place: str, complaint: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(RequestError) as refused:
        notification_blocks("refused", [SecretStr(place)])
    assert complaint in str(refused.value)
    assert SECRET not in str(refused.value) + caplog.text


def test_a_block_of_the_users_is_found_by_its_name(thaw: Thaw) -> None:
    with mailbox() as (address, _):
        (made,) = notification_blocks("mine", [SecretStr(address)])
    assert notification_blocks("other", [SecretStr("slack-webhook/thaw-mine-1")]) == [made]
    assert SECRET not in json.dumps(thaw.api("block_documents/filter", {}))


def test_places_to_tell_stand_in_the_environment_with_blanks_between(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THAW_NOTIFY", f" slack-webhook/ops  json://{SECRET}@host/?a=1,2 ")
    notify = Settings().notify
    assert [place.get_secret_value() for place in notify] == ["slack-webhook/ops", f"json://{SECRET}@host/?a=1,2"]
    assert SECRET not in repr(Settings())
    monkeypatch.setenv("THAW_NOTIFY", "")
    assert Settings().notify == ()


@pytest.mark.slow
def test_a_lost_run_becomes_crashed_and_no_new_model_is_told(thaw: Thaw) -> None:
    name = f"lost_{uuid4().hex[:6]}"
    with mailbox() as (address, received):
        with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: 30}):
            set_up(recipe_named(name, stale_after_days=0.001), notification_blocks(name, [SecretStr(address)]))
        time.sleep(2)
        lost, ended = (run_in_state(thaw, name, "RUNNING", "Running", "") for _ in range(2))
        for run in (lost, ended):
            send_heartbeat(name, run)
        state = {"type": "COMPLETED", "name": "Not shown", "message": "no better"}
        thaw.api(f"flow_runs/{ended}/set_state", {"state": state, "force": True})
        wait_for(lambda: thaw.api(f"flow_runs/{lost}", {}, "GET")["state_name"] == "Crashed", 200)
        assert "gave no sign of life for 90 seconds" in wait_for(partial(message_about, received, f"{name}: a run"), 60)
        stale = wait_for(partial(message_about, received, f"{name}: no new model"), 120)
        assert "for 0.001 days" in stale
        assert thaw.api(f"flow_runs/{ended}", {}, "GET")["state_name"] == "Not shown"
