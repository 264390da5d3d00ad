"""A served recipe on a real server: new photos, and a word by hand, start runs; whoever is to be told hears of it."""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from PIL import Image, ImageOps

from tests.flows.test_automations import SECRET, mailbox, message_about
from tests.flows.test_events import events_of
from tests.flows.test_serve import deployment_of, scheduled_recipe
from tests.flows.waiting import wait_for
from tests.prefect_server import Thaw

RECIPE = f"watched_{uuid4().hex[:6]}"  # whose events are those of this test alone
SECONDS = 400  # which a run may take


@contextlib.contextmanager
def serving(thaw: Thaw, recipe: Path, said: Path, **environment: str) -> Iterator[None]:
    """Serve a recipe for the length of a block, and keep all that is said."""
    home = recipe.parent / "home"
    command = [sys.executable, "-m", "thaw.flows.cli", "serve", str(recipe), "--home", str(home)]
    with said.open("ab") as file:
        server = subprocess.Popen(
            command, env={**thaw.environment, **environment}, cwd=thaw.folder, stdout=file, stderr=file
        )
        try:
            yield
        finally:
            server.terminate()
            try:
                server.wait(timeout=60)
            finally:
                server.kill()


def ended_runs(thaw: Thaw, number: int) -> list[dict[str, Any]]:
    """Find the recipe's runs, the oldest first, if so many have ended."""
    query = {"deployments": {"name": {"any_": [RECIPE]}}, "sort": "START_TIME_ASC"}
    runs: list[dict[str, Any]] = [
        run for run in thaw.api("flow_runs/filter", query) if run["state_type"] in ("COMPLETED", "FAILED", "CRASHED")
    ]
    return runs if len(runs) >= number else []


def changes_told(thaw: Thaw) -> list[str]:
    told = [each for each in events_of(thaw, RECIPE) if each["event"] == "thaw.dataset.changed"]
    return sorted(each["payload"]["noticed"] for each in told)


def all_that_is_kept(thaw: Thaw, folder: Path) -> str:
    """All that the server gives out, and all files of a folder."""
    lists = (
        "deployments",
        "flow_runs",
        "task_runs",
        "logs",
        "artifacts",
        "automations",
        "block_documents",
        "variables",
    )
    kept = [json.dumps(thaw.api(f"{name}/filter", {})) for name in lists]
    kept.append(json.dumps(thaw.api("events/filter", {"filter": {}, "limit": 50})))
    kept += [path.read_bytes().decode("latin-1") for path in folder.rglob("*") if path.is_file()]
    return "\n".join(kept)


@pytest.mark.slow
def test_a_photo_and_a_word_by_hand_start_runs_and_no_secret_is_kept(thaw: Thaw, tmp_path: Path) -> None:
    retrain = {"on": ["folder"], "settle_seconds": 2.0, "when": {"min_new_images": 100}}
    recipe = scheduled_recipe(tmp_path, RECIPE, "0 6 1 1 *", retrain=retrain)
    said = tmp_path / "said.txt"
    with mailbox() as (address, received):
        with serving(thaw, recipe, said, THAW_NOTIFY=address):
            (first,) = wait_for(partial(ended_runs, thaw, 1), SECONDS)
            assert first["state_name"] == "Promoted"
            assert "event" in first["tags"]
            wait_for(partial(message_about, received, f"{RECIPE}: a new model is in use"), SECONDS)

            photo = tmp_path / "data" / "red" / "000.png"
            ImageOps.mirror(Image.open(photo)).save(photo.with_name("new.png"))
            _, second = wait_for(partial(ended_runs, thaw, 2), SECONDS)
            assert (second["state_name"], "event" in second["tags"]) == ("Nothing new", True)
            assert "1 added" in second["state"]["message"]
            wait_for(lambda: changes_told(thaw) == ["folder", "folder"], 30)

            told = thaw("notify", "dataset", recipe)
            assert told.stdout == f"Told the server thaw.dataset.changed of {RECIPE}.\n"
            *_, third = wait_for(partial(ended_runs, thaw, 3), SECONDS)
            assert (third["state_name"], "event" in third["tags"]) == ("Nothing new", True)

            deployment = deployment_of(thaw, RECIPE)
            assert deployment is not None
            thaw.api(f"deployments/{deployment['id']}/create_flow_run", {"parameters": {"set": ["sed=1"]}})
            failed = wait_for(partial(message_about, received, f"{RECIPE}: a run failed"), SECONDS)
            assert "sed is not a key of the recipe" in failed
        # What the last run took in is told to nobody again.
        with serving(thaw, recipe, said, THAW_NOTIFY=address):
            wait_for(lambda: said.read_text().count(f"serving retrain/{RECIPE}") == 2, 90)
            time.sleep(15)  # several looks, and the time that the server takes to store an event
            assert changes_told(thaw) == ["by hand", "folder", "folder"]
    assert SECRET not in all_that_is_kept(thaw, tmp_path)
