"""A secret in the address of the images is used by a run, and is nowhere kept or shown."""

import json
import signal
import socket
from pathlib import Path

import pytest

from tests.flows.test_serve import last_state
from tests.flows.waiting import wait_for
from tests.ingest.archives import pack
from tests.ingest.file_server import FileServer
from tests.prefect_server import Thaw
from tests.support import small_recipe, write_pictures
from thaw.flows import addresses
from thaw.flows.deployments import deployment
from thaw.flows.retrain import retrain
from thaw.pipeline_config.loading import parse_recipe
from thaw.pipeline_config.schema import Recipe
from thaw.pipeline_config.yaml_dialect import read_yaml, write_yaml

SECRET = "pl4nted"  # Prefect's own database has "s3cr3t" in it, as an example
OF_THE_MACHINE = {"PREFECT_API_KEY": f"pnu_{SECRET}", "AWS_SECRET_ACCESS_KEY": SECRET}


def recipe_of(url: str, sha256: str = "0" * 64, name: str = "small") -> Recipe:
    return small_recipe(Path("x"), name=name, dataset={"source": {"kind": "archive", "url": url, "sha256": sha256}})


@pytest.fixture
def environment(monkeypatch):
    monkeypatch.delenv(addresses.VARIABLE, raising=False)
    return monkeypatch


def test_what_prefect_is_told_of_a_run_and_of_a_deployment_is_without_it(environment, tmp_path):
    recipe = recipe_of(f"https://host/a.zip?token={SECRET}")
    told = retrain.serialize_parameters({"recipe": recipe, "home": tmp_path, "refresh": ()})
    assert told["recipe"]["dataset"]["source"]["url"] == "https://host/a.zip?token=REMOVED"
    described = deployment(recipe, tmp_path)
    assert SECRET not in json.dumps(described.parameters)
    assert SECRET not in described.model_dump_json()


def test_a_served_run_gets_it_back_and_each_recipe_its_own(environment, tmp_path):
    recipes = [recipe_of(f"https://host/a.zip?token={SECRET}{name}", name=name) for name in ("one", "two")]
    recipes.append(recipe_of("https://host/a.zip?token=REMOVED", name="three"))
    for recipe in recipes:
        addresses.keep_for_runs(recipe)
    texts = [deployment(recipe, tmp_path).parameters["recipe"] for recipe in recipes]
    assert [addresses.with_whole_addresses(parse_recipe(read_yaml(text))) for text in texts] == recipes


def test_an_address_without_a_secret_is_kept_nowhere_else(environment, tmp_path):
    recipe = recipe_of("https://host/a.zip")
    assert read_yaml(deployment(recipe, tmp_path).parameters["recipe"]) == recipe.as_written()
    addresses.keep_for_runs(recipe)
    assert addresses._kept() == {}


@pytest.mark.slow
def test_served_run_or_failed_no_server_no_log_and_no_file_of_the_home_has_it(thaw: Thaw, tmp_path: Path) -> None:
    thaw = Thaw(thaw.environment | OF_THE_MACHINE, thaw.folder)
    pictures = write_pictures(tmp_path / "data", each=20)
    files = {path.relative_to(pictures).as_posix(): path.read_bytes() for path in pictures.rglob("*.png")}
    home = tmp_path / "home"
    with FileServer(pack(tmp_path / "x.zip", files).read_bytes()).running() as server:
        recipe = recipe_of(f"{server.url}?token={SECRET}", server.sha256, "secretive")
        (tmp_path / "r.yaml").write_text(write_yaml(recipe.as_written()))
        serving = thaw.start("serve", tmp_path / "r.yaml", "--home", home, "--log-format", "json")
        try:
            query = {"deployments": {"name": {"any_": ["secretive"]}}}
            (found,) = wait_for(lambda: thaw.api("deployments/filter", query), 90)
            run = thaw.api(f"deployments/{found['id']}/create_flow_run", {})
            assert last_state(thaw, run["id"]) == "COMPLETED"
        finally:
            serving.send_signal(signal.SIGINT)
            output = serving.communicate(timeout=60)
        lines = [json.loads(line) for line in output[1].splitlines()]
        assert [line["task"] for line in lines if "stage_two, epoch" in line["message"]] == ["stage_two"] * 2
        assert server.paths == [f"/images.zip?token={SECRET}"]
    again = thaw("run", tmp_path / "r.yaml", "--home", home, "--always", "--set", "publish.formats=[keras]")
    assert again.returncode == 0, again.stderr
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}/x.zip?token={SECRET}"
    retried = ["execution.retries=1", "execution.retry_delay_seconds=0", f"dataset.source.url={nobody}"]
    retried.append(f"dataset.source.sha256={'f' * 64}")  # digits alone would be a number
    settings = [part for setting in retried for part in ("--set", setting)]
    failed = thaw("run", tmp_path / "r.yaml", "--home", home, *settings)
    assert failed.returncode == 1
    assert "thaw: warning: ingest failed, and is tried again: " in failed.stderr
    assert "token=REMOVED" in failed.stderr.splitlines()[-1]
    said = [thaw("logs", "--home", home, *options).stdout for options in ([], [run["id"], "--json"])]
    assert "token=REMOVED" in said[0].splitlines()[-1]
    assert "Promoted: " in said[1].splitlines()[-1]
    runs = thaw.api("flow_runs/filter", {"sort": "EXPECTED_START_TIME_DESC", "limit": 50})
    logs = thaw.api("logs/filter", {"limit": 200, "logs": {"flow_run_id": {"any_": [each["id"] for each in runs]}}})
    told = [json.dumps(each) for each in (thaw.api("deployments/filter", query), runs, logs)]
    assert "token=REMOVED" in told[0]
    shown = [*output, again.stdout, again.stderr, failed.stdout, failed.stderr, *said, *told]
    assert [text for text in shown if SECRET in text] == []
    kept = [path for folder in (home, Path(thaw.environment["PREFECT_HOME"])) for path in folder.rglob("*")]
    assert {path.name for path in kept} >= {"prefect.db", "server.log", "log.jsonl", "recipe.yaml"}
    assert [path for path in kept if path.is_file() and SECRET.encode() in path.read_bytes()] == []
    releases = list((home / "releases").glob("secretive-*/recipe.yaml"))
    assert len(releases) == 2
    assert all("--set dataset.source.url=ADDRESS" in path.read_text() for path in releases)
