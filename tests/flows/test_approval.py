"""A person decides, in Prefect's form, whether a new model takes the champion's place."""

import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.flows.waiting import event_about, wait_for
from tests.prefect_server import Thaw
from tests.support import small_recipe, write_pictures
from thaw.pipeline_config.yaml_dialect import write_yaml
from thaw.tasks.home import Home
from thaw.tasks.releases.registry import Registry


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A recipe that promotes whatever someone agrees to, with a name of its own: a failed test's run stays paused."""
    write_pictures(tmp_path / "data", each=20)
    document = small_recipe(tmp_path / "data", name=tmp_path.name).model_dump(mode="json", by_alias=True)
    document["publish"] |= {"require": "always", "approval": True}
    path = tmp_path / f"{tmp_path.name}.yaml"
    path.write_text(write_yaml(document))
    return path


def registry_of(recipe: Path) -> Registry:
    return Home.open(recipe.parent / "home").registry


def begin(thaw: Thaw, recipe: Path, *settings: str) -> subprocess.Popen[str]:
    options = [part for setting in settings for part in ("--set", setting)]
    return thaw.start("run", recipe, "--home", recipe.parent / "home", *options)


def waiting_run(thaw: Thaw, recipe: Path) -> dict[str, Any]:
    """Wait until a run has asked, and find it."""
    paused = {"flow_runs": {"name": {"like_": f"{recipe.stem}:"}, "state": {"type": {"any_": ["PAUSED"]}}}}
    found = wait_for(lambda: thaw.api("flow_runs/filter", paused), 240)
    assert len(found) == 1
    run: dict[str, Any] = found[0]
    return run


def answer(thaw: Thaw, run: str, **form: Any) -> dict[str, Any]:
    result: dict[str, Any] = thaw.api(f"flow_runs/{run}/resume", {"run_input": form})
    return result


@pytest.mark.slow
def test_a_run_waits_until_someone_has_decided_and_the_log_says_who_and_why(thaw: Thaw, recipe: Path) -> None:
    process = begin(thaw, recipe)
    try:
        run = waiting_run(thaw, recipe)
        assert "waiting for approval" in run["name"]
        assert registry_of(recipe).champion(recipe.stem) is None
        assert len(registry_of(recipe).list()) == 1, "there is something to look at"
        nameless = answer(thaw, run["id"], promote=True, by="", reason="")
        assert nameless["status"] == "REJECT"
        assert answer(thaw, run["id"], promote=True, by="Ada", reason="looked at the flips")["status"] == "ACCEPT"
        out, error = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, error
    assert "now in use" in out
    (entry,) = registry_of(recipe).log()
    assert (entry.action, entry.by, entry.reason) == ("approve", "Ada", "looked at the flips")
    ended = thaw.api(f"flow_runs/{run['id']}", {}, "GET")
    assert (ended["state_name"], ended["state_type"]) == ("Promoted", "COMPLETED")
    assert ended["state"]["message"] in out
    assert ended["name"].startswith(f"{recipe.stem}: ")
    assert ended["name"].endswith(", promoted")
    asked = wait_for(partial(event_about, thaw, "thaw.release.waiting", entry.release), 30)
    assert asked["related"][0]["prefect.resource.id"] == f"prefect.flow-run.{run['id']}"
    told = wait_for(partial(event_about, thaw, "thaw.release.promoted", entry.release), 30)
    assert told["payload"]["reason"] == ended["state"]["message"]
    assert told["resource"]["prefect.resource.id"] == f"thaw.recipe.{recipe.stem}"

    # The same run again finds nothing to do, and asks nobody.
    again = thaw("run", recipe, "--home", recipe.parent / "home", "--always")
    assert again.returncode == 0
    runs = {"flow_runs": {"tags": {"all_": [recipe.stem]}}, "sort": "START_TIME_DESC", "limit": 1}
    assert thaw.api("flow_runs/filter", runs)[0]["state_name"] == "Nothing new"


@pytest.mark.slow
def test_what_is_declined_or_not_decided_in_time_stays_out_and_is_not_asked_about_again(
    thaw: Thaw, recipe: Path
) -> None:
    process = begin(thaw, recipe, "seed=11")
    try:
        run = waiting_run(thaw, recipe)
        answer(thaw, run["id"], promote=False, by="Ada", reason="worse on red")
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
    ended = thaw.api(f"flow_runs/{run['id']}", {}, "GET")
    assert ended["state_name"] == "Kept"
    done = thaw(
        "run", recipe, "--home", recipe.parent / "home", "--set", "seed=12", "--set", "publish.approval={hours: 0.001}"
    )
    assert done.returncode == 0, done.stderr
    assert "Nobody decided" in done.stderr
    declined = registry_of(recipe).log()
    assert [(entry.action, entry.by) for entry in declined] == [("decline", "Ada"), ("decline", "thaw")]
    assert registry_of(recipe).champion(recipe.stem) is None
    for seed in (11, 12):
        again = thaw("run", recipe, "--home", recipe.parent / "home", "--set", f"seed={seed}", timeout=60)
        assert again.returncode == 0
    assert registry_of(recipe).log() == declined


@pytest.mark.slow
def test_a_run_on_a_temporary_server_asks_nobody_and_says_how_to_decide(thaw: Thaw, recipe: Path) -> None:
    environment = {name: value for name, value in thaw.environment.items() if name != "PREFECT_API_URL"}
    alone = Thaw(environment, thaw.folder)
    done = alone("run", recipe, "--home", recipe.parent / "home", "--set", "seed=13")
    assert done.returncode == 0, done.stderr
    assert f"thaw releases promote {recipe.stem}-" in done.stderr
    assert "not in use" in done.stdout
