"""`thaw run` from pictures to a release, as a user sees it, and what Prefect shows of it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from pipeline_config.yaml_dialect import write_yaml
from tasks.publishing.registry import Registry
from tests.prefect_server import Thaw
from tests.support import small_recipe, write_pictures

TASKS = ["ingest", "records", "stage_one", "stage_two", "evaluate", "compare", "publish"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("run")
    write_pictures(folder / "data", each=20)
    recipe = small_recipe(folder / "data").model_dump(mode="json", by_alias=True)
    (folder / "small.yaml").write_text(write_yaml(recipe))
    return folder


@pytest.fixture(scope="module")
def first(thaw: Thaw, place: Path) -> dict[str, Any]:
    """The result of the first run, and its lines on stderr."""
    done = thaw("run", place / "small.yaml", "--home", place / "home", "--json")
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result | {"stderr": done.stderr}


@pytest.fixture(scope="module")
def worse(thaw: Thaw, place: Path, first: dict[str, Any]) -> dict[str, Any]:
    """The result of a run that cannot learn anything, after the first."""
    settings = [f"stage_{stage}.optimizer.learning_rate=1e-12" for stage in ("one", "two")]
    options = [part for setting in settings for part in ("--set", setting)]
    done = thaw("run", place / "small.yaml", *options, "--home", place / "home", "--json")
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_all_tasks_complete_in_order(first: dict[str, Any]) -> None:
    assert [task["name"] for task in first["tasks"]] == TASKS
    assert {task["state"] for task in first["tasks"]} == {"completed"}
    assert not any(task["cached"] for task in first["tasks"])


def test_the_result_says_what_the_stages_and_the_test_gave(first: dict[str, Any]) -> None:
    assert [(stage["name"], stage["epochs"]) for stage in first["stages"]] == [("stage_one", 2), ("stage_two", 2)]
    assert all(re.fullmatch(r"[0-9a-f]{64}", stage["weights_sha256"]) for stage in first["stages"])
    test = first["metrics"]["test"]
    assert test["accuracy_ci"][0] <= test["accuracy"] <= test["accuracy_ci"][1]
    assert first["verdict"] == "first"
    assert first["recipe"] == "small"


def test_the_release_is_complete_and_the_champion(first: dict[str, Any], place: Path) -> None:
    release = Path(first["release"]["path"])
    registry = Registry(place / "home")
    registry.verify(first["release"]["id"])
    champion = registry.champion("small")
    assert champion is not None
    assert champion.id == first["release"]["id"]
    assert first["release"]["champion"]
    names = {path.name for path in release.iterdir()}
    assert {
        "model.keras",
        "saved_model",
        "labels.txt",
        "metrics.json",
        "predictions.parquet",
        "history.parquet",
    } < names
    assert {"report.html", "README.md", "recipe.yaml", "release.json", "SHA256SUMS", "pictures"} < names


def test_stderr_has_one_line_an_epoch_and_stdout_only_the_result(first: dict[str, Any]) -> None:
    lines = first["stderr"].splitlines()
    for stage in ("stage_one", "stage_two"):
        assert sum(f"{stage}, before the first step" in line for line in lines) == 1
        assert [line.split(":")[1].strip() for line in lines if f"{stage}, epoch" in line] == [
            f"{stage}, epoch 1 of 2",
            f"{stage}, epoch 2 of 2",
        ]
    assert all(line.startswith("thaw: ") for line in lines), first["stderr"]


def test_prefect_has_the_epochs_in_the_log_of_the_stages_task(first: dict[str, Any], thaw: Thaw) -> None:
    logs = thaw.api("logs/filter", {"logs": {"flow_run_id": {"any_": [first["run"]]}}, "limit": 200})
    messages = [log["message"] for log in logs]
    assert sum("stage_two, epoch" in message for message in messages) == 2


def test_prefect_has_progress_metrics_and_model_card(first: dict[str, Any], thaw: Thaw) -> None:
    found = thaw.api("artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [first["run"]]}}})
    by_key = {artifact["key"]: artifact for artifact in found}
    assert by_key["stage-two-progress"]["type"] == "progress"
    assert float(by_key["stage-two-progress"]["data"]) == 100
    assert by_key["test-metrics"]["type"] == "table"
    assert by_key["model-card"]["type"] == "markdown"
    assert f"{first['release']['id']}" in by_key["model-card"]["data"]


def test_prefect_has_a_task_run_per_step_with_its_tags(first: dict[str, Any], thaw: Thaw) -> None:
    runs = thaw.api("task_runs/filter", {"flow_runs": {"id": {"any_": [first["run"]]}}})
    assert {run["name"] for run in runs} == set(TASKS)
    assert all("thaw" in run["tags"] for run in runs)


def test_the_same_run_again_is_cached_and_makes_no_second_release(
    first: dict[str, Any], thaw: Thaw, place: Path
) -> None:
    again = json.loads(thaw("run", place / "small.yaml", "--home", place / "home", "--always", "--json").stdout)
    assert [task["name"] for task in again["tasks"] if not task["cached"]] == []
    assert [task["digest"] for task in again["tasks"]] == [task["digest"] for task in first["tasks"]]
    assert again["release"] == first["release"]
    assert again["stages"] == first["stages"]


def test_a_run_with_nothing_to_do_gives_the_same_result_without_prefect(
    first: dict[str, Any], thaw: Thaw, place: Path
) -> None:
    without_server = Thaw(thaw.environment | {"PREFECT_API_URL": "http://127.0.0.1:1/api"}, thaw.folder)
    done = without_server("run", place / "small.yaml", "--home", place / "home", "--json")
    assert done.returncode == 0, done.stderr
    assert "up to date" in done.stderr
    assert json.loads(done.stdout) == {name: value for name, value in first.items() if name != "stderr"}


def plan_of(thaw: Thaw, place: Path, *options: str) -> dict[str, list[str]]:
    """The reasons of the tasks that would run."""
    done = thaw("plan", place / "small.yaml", "--home", place / "home", "--json", *options)
    assert done.returncode == 0, done.stderr
    return {task["name"]: task["reasons"] for task in json.loads(done.stdout) if not task["cached"]}


def test_a_plan_says_why_tasks_would_run(first: dict[str, Any], thaw: Thaw, place: Path) -> None:
    assert plan_of(thaw, place) == {}
    changed = plan_of(thaw, place, "--set", "stage_two.optimizer.learning_rate=0.02")
    assert list(changed) == ["stage_two", "evaluate", "compare", "publish"]
    assert changed["stage_two"] == ["stage_two.optimizer.learning_rate 0.01 → 0.02"]
    assert changed["evaluate"] == ["stage_two would run before it"]


def test_a_plan_names_a_damaged_file_and_changes_nothing(first: dict[str, Any], thaw: Thaw, place: Path) -> None:
    digest = first["tasks"][0]["digest"]
    manifest = place / "home" / "artifacts" / "dataset" / digest / "manifest.parquet"
    content = manifest.read_bytes()
    manifest.write_bytes(content[:-1])
    reasons = plan_of(thaw, place)
    assert "manifest.parquet has" in reasons["ingest"][0]
    assert reasons["records"] == ["ingest would run before it"]
    manifest.write_bytes(content)
    assert plan_of(thaw, place) == {}


def test_a_damaged_artifact_is_built_again_and_the_rest_stays_cached(
    first: dict[str, Any], thaw: Thaw, place: Path
) -> None:
    digest = first["tasks"][1]["digest"]
    (shard, *_) = sorted((place / "home" / "artifacts" / "records" / digest).glob("train-*.tfrecord"))
    content = bytearray(shard.read_bytes())
    content[100] ^= 1
    shard.write_bytes(content)
    again = json.loads(thaw("run", place / "small.yaml", "--home", place / "home", "--json").stdout)
    assert [task["name"] for task in again["tasks"] if not task["cached"]] == ["records"]
    assert [task["digest"] for task in again["tasks"]] == [task["digest"] for task in first["tasks"]]


def test_a_damaged_release_is_repaired_by_the_next_run(first: dict[str, Any], thaw: Thaw, place: Path) -> None:
    labels = Path(first["release"]["path"]) / "labels.txt"
    labels.write_text("nonsense\n")
    again = json.loads(thaw("run", place / "small.yaml", "--home", place / "home", "--json").stdout)
    assert [task["name"] for task in again["tasks"] if not task["cached"]] == ["publish"]
    assert labels.read_text() == "blue\nred\n"


def test_a_worse_model_is_released_but_not_used(worse: dict[str, Any], first: dict[str, Any], place: Path) -> None:
    assert worse["metrics"]["test"]["accuracy"] < first["metrics"]["test"]["accuracy"]
    assert worse["verdict"] == "not better"
    assert not worse["release"]["champion"]
    champion = Registry(place / "home").champion("small")
    assert champion is not None
    assert champion.id == first["release"]["id"]


def test_changed_stages_leave_ingest_and_records_cached(worse: dict[str, Any]) -> None:
    assert [task["name"] for task in worse["tasks"] if task["cached"]] == ["ingest", "records"]


def test_releases_can_be_listed_promoted_and_rolled_back(
    worse: dict[str, Any], first: dict[str, Any], thaw: Thaw, place: Path
) -> None:
    home = ["--home", str(place / "home")]
    listed = json.loads(thaw("releases", "list", "--json", *home).stdout)
    assert {release["id"] for release in listed} == {first["release"]["id"], worse["release"]["id"]}
    assert first["release"]["id"] in thaw("releases", "show", first["release"]["id"], *home).stdout
    promoted = thaw("releases", "promote", worse["release"]["id"], "--reason", "to see", *home)
    assert promoted.returncode == 0, promoted.stderr
    assert f"{worse['release']['id']} is now the champion" in promoted.stdout
    rolled_back = thaw("releases", "rollback", "--reason", "seen", *home)
    assert f"{first['release']['id']} is the champion" in rolled_back.stdout
    log = [json.loads(line) for line in (place / "home" / "releases" / "log.jsonl").read_text().splitlines()]
    assert [entry["action"] for entry in log] == ["publish", "promote", "rollback"]


def test_the_champion_classifies_pictures(first: dict[str, Any], thaw: Thaw, place: Path) -> None:
    paths = [place / "data" / "blue" / "000.png", place / "data" / "red" / "001.png"]
    done = thaw("predict", *paths, "--release", first["release"]["id"], "--home", place / "home", "--json")
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    assert [answer["path"] for answer in answers] == [str(path) for path in paths]
    assert all(abs(sum(answer["probabilities"].values()) - 1) < 1e-5 for answer in answers)
