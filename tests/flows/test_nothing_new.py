"""A run that has no need to train, as a user sees it in the terminal, and in Prefect. Nothing is trained."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.flows.test_cached_rerun import WITNESS
from tests.prefect_server import Thaw
from tests.preflight.made import learn
from tests.support import WalkHere, small_recipe, write_pictures
from thaw.flows.graph import INGEST
from thaw.pipeline_config.yaml_dialect import write_yaml


@dataclass
class Place:
    """A home folder whose champion learned from one image less than there are, and which has seen that one."""

    folder: Path
    champion: str
    thaw: Thaw

    def __call__(self, command: str, *options: str) -> Any:
        home = ("--home", self.folder / "home")
        return self.thaw(command, self.folder / "small.yaml", *home, *options)

    def imports(self) -> list[str]:
        """The lines about TensorFlow's imports since the last time."""
        log = self.folder / "log"
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return [line for line in lines if line.startswith(("tensorflow", "keras"))]


@pytest.fixture(scope="module")
def place(thaw: Thaw, tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("nothing_new")
    recipe = small_recipe(write_pictures(folder / "data", each=20), retrain={"when": {"min_new_images": 2}})
    (folder / "small.yaml").write_text(write_yaml(recipe.model_dump(mode="json", by_alias=True)))
    walk = WalkHere(recipe, folder / "home")
    walk.go([INGEST])
    champion = learn(folder / "home", walk.made["ingest"], recipe)
    picture = next((folder / "data" / "red").iterdir())
    picture.with_name("new.png").write_bytes(picture.read_bytes() + b"another image by its bytes")
    WalkHere(recipe, folder / "home").go([INGEST])
    (folder / "witness").mkdir()
    (folder / "witness" / "sitecustomize.py").write_text(WITNESS)
    path = f"{folder / 'witness'}:{thaw.environment['PYTHONPATH']}"
    environment = thaw.environment | {"PYTHONPATH": path, "THAW_TEST_WITNESS": str(folder / "log")}
    return Place(folder, champion.id, Thaw(environment, folder))


@pytest.fixture(scope="module")
def first(place: Place) -> dict[str, Any]:
    """The result of a run that finds that there is no need to train."""
    done = place("run", "--json")
    assert done.returncode == 0, done.stderr
    assert place.imports() == []
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_a_run_without_need_ends_without_tensorflow_and_says_why(place: Place, first: dict[str, Any]) -> None:
    assert [(task["name"], task["cached"]) for task in first["tasks"]] == [("ingest", True), ("preflight", False)]
    assert first["verdict"] == "nothing new"
    assert first["reason"].startswith(f"The images since {place.champion}: 1 added. retrain.when asks for 2 images")
    assert first["preflight"]["changes"]["added"] == 1
    assert first["release"] == {"id": place.champion, "path": first["release"]["path"], "champion": True}
    assert (first["stages"], first["metrics"]["test"]["accuracy"]) == ([], 0.9)


def test_prefect_shows_it_in_the_runs_state_and_name(place: Place, first: dict[str, Any]) -> None:
    run = place.thaw.api(f"flow_runs/{first['run']}", {}, "GET")
    assert (run["state_type"], run["state_name"]) == ("COMPLETED", "Nothing new")
    assert run["state"]["message"] == first["reason"]
    assert run["name"] == "small: 0.900, nothing new"


def test_the_next_one_and_a_plan_say_the_same_without_prefect(place: Place, first: dict[str, Any]) -> None:
    without_server = place.thaw.environment | {"PREFECT_API_URL": "http://127.0.0.1:1/api"}
    place = Place(place.folder, place.champion, Thaw(without_server, place.folder))
    again = place("run", "--json")
    assert again.returncode == 0, again.stderr
    assert "nothing new" in again.stderr
    result = json.loads(again.stdout)
    assert {**result, "run": first["run"]} | {
        name: first[name] for name in ("seconds", "tasks", "ui_url", "ui_url_later")
    } == first
    assert result["run"] is None
    shown = place("run")
    assert shown.returncode == 0
    assert f"verdict: nothing new\n{first['reason']}\n" in shown.stdout
    assert "Prefect UI" not in shown.stdout
    planned = json.loads(place("plan", "--json").stdout)
    assert [task["name"] for task in planned if task["needed"]] == ["ingest", "preflight"]
    assert " ".join(planned[2]["reasons"]) == first["reason"]
    assert "records    not needed  The images since" in place("plan").stdout
    assert place.imports() == []


def test_a_check_that_stops_the_run_is_one_line_and_exit_code_2(
    place: Place, thaw: Thaw, first: dict[str, Any]
) -> None:
    shutil.copytree(place.folder / "home", place.folder / "other")
    options = ("--home", place.folder / "other", "--set", "checks={class_images: 30, levels: {class_images: stop}}")
    done = thaw("run", place.folder / "small.yaml", *options)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("thaw: Expected 30 images of each class or more: blue has 20, red")
