"""A secret in the address of the images is used by a run, and is nowhere kept or shown."""

import json
import signal
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

SECRET = "s3cr3t"


def recipe_of(url: str, sha256: str = "0" * 64, name: str = "small") -> Recipe:
    return small_recipe(Path("x"), name=name, dataset={"source": {"kind": "archive", "url": url, "sha256": sha256}})


@pytest.fixture
def environment(monkeypatch):
    monkeypatch.delenv(addresses._VARIABLE, raising=False)
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
    texts = [deployment(recipe, tmp_path).parameters["recipe"] for recipe in recipes]
    assert [addresses.with_whole_addresses(parse_recipe(read_yaml(text))) for text in texts] == recipes


def test_an_address_without_a_secret_is_kept_nowhere_else(environment, tmp_path):
    recipe = recipe_of("https://host/a.zip")
    assert read_yaml(deployment(recipe, tmp_path).parameters["recipe"]) == recipe.as_written()
    assert addresses._kept() == {}


@pytest.mark.slow
def test_served_or_run_no_server_no_log_and_no_file_of_the_home_has_it(thaw: Thaw, tmp_path: Path) -> None:
    pictures = write_pictures(tmp_path / "data", each=20)
    files = {path.relative_to(pictures).as_posix(): path.read_bytes() for path in pictures.rglob("*.png")}
    home = tmp_path / "home"
    with FileServer(pack(tmp_path / "x.zip", files).read_bytes()).running() as server:
        recipe = recipe_of(f"{server.url}?token={SECRET}", server.sha256, "secretive")
        (tmp_path / "r.yaml").write_text(write_yaml(recipe.as_written()))
        serving = thaw.start("serve", tmp_path / "r.yaml", "--home", home)
        try:
            query = {"deployments": {"name": {"any_": ["secretive"]}}}
            (found,) = wait_for(lambda: thaw.api("deployments/filter", query), 90)
            run = thaw.api(f"deployments/{found['id']}/create_flow_run", {})
            assert last_state(thaw, run["id"]) == "COMPLETED"
        finally:
            serving.send_signal(signal.SIGINT)
            output = "".join(serving.communicate(timeout=60))
        assert server.paths == [f"/images.zip?token={SECRET}"]
    again = thaw("run", tmp_path / "r.yaml", "--home", home, "--always", "--set", "publish.formats=[keras]")
    assert again.returncode == 0, again.stderr
    runs = thaw.api("flow_runs/filter", {"sort": "EXPECTED_START_TIME_DESC", "limit": 50})
    logs = thaw.api("logs/filter", {"limit": 200, "logs": {"flow_run_id": {"any_": [each["id"] for each in runs]}}})
    shown = [output, again.stdout, again.stderr, *map(json.dumps, [thaw.api("deployments/filter", query), runs, logs])]
    assert "token=REMOVED" in shown[3]
    assert [text for text in shown if SECRET in text] == []
    assert [path for path in home.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()] == []
    releases = list((home / "releases").glob("secretive-*/recipe.yaml"))
    assert len(releases) == 2
    assert all("--set dataset.source.url=ADDRESS" in path.read_text() for path in releases)
