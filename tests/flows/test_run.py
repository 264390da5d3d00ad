"""`thaw run` from pictures to a release, as a user sees it, and what Prefect shows of it."""

import hashlib
import json
import re
import shutil
import sqlite3
import subprocess
import sys
import time
import zlib
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.faults.processes import wait_until
from tests.flows.waiting import event_about, wait_for
from tests.prefect_server import Thaw
from tests.support import small_recipe, write_pictures
from thaw.pipeline_config.yaml_dialect import write_yaml
from thaw.tasks.artifacts.file_digests import MEMORY_NAME, FileDigests
from thaw.tasks.home import Home

TASKS = ["ingest", "preflight", "records", "stage_one", "stage_two", "calibrate", "evaluate", "baseline", "verdict"]
TASKS += ["report", "publish"]


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
    assert first["earned"].startswith("Stage two earned ")
    assert f"thaw: {first['earned']}" in first["stderr"].splitlines()


def test_the_release_is_complete_and_the_champion(first: dict[str, Any], place: Path) -> None:
    release = Path(first["release"]["path"])
    registry = Home.open(place / "home").registry
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


def test_prefect_says_how_a_run_came_out_in_its_name_its_state_and_an_event(
    first: dict[str, Any], worse: dict[str, Any], thaw: Thaw
) -> None:
    kept = {"worse": "Kept", "not shown": "Not shown"}[worse["verdict"]]
    for result, state, event in ((first, "Promoted", "promoted"), (worse, kept, "kept")):
        run = thaw.api(f"flow_runs/{result['run']}", {}, "GET")
        assert (run["state_type"], run["state_name"], run["state"]["message"]) == ("COMPLETED", state, result["reason"])
        assert re.fullmatch(rf"small: {result['metrics']['test']['accuracy']:.3f}.*, {state.lower()}", run["name"])
        told = partial(event_about, thaw, f"thaw.release.{event}", result["release"]["id"])
        assert wait_for(told, 60)["payload"]["reason"] == result["reason"]


def test_prefect_has_progress_and_one_report_of_which_it_keeps_the_versions(
    first: dict[str, Any], worse: dict[str, Any], thaw: Thaw
) -> None:
    def artifacts_of(result: dict[str, Any]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = thaw.api(
            "artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [result["run"]]}}}
        )
        return found

    for result in (first, worse):
        (report,) = [artifact for artifact in artifacts_of(result) if artifact["key"] is not None]
        assert (report["key"], report["type"]) == ("small-report", "markdown")
        assert report["description"] == thaw.api(f"flow_runs/{result['run']}", {}, "GET")["name"]
        assert report["data"].startswith(f"## {report['description']}\n\n**{result['verdict'].capitalize()}.**")
        assert result["release"]["id"] in report["data"]
        assert len(report["data"]) < 1_000_000
        assert report["data"].count("data:image/svg+xml;base64,") == (0 if result is first else 1)
        assert result["ui_url"] in report["data"]
    progress = {artifact["description"]: artifact["data"] for artifact in artifacts_of(first) if not artifact["key"]}
    ends = {words: float(data) for words, data in progress.items() if "validation accuracy" in words}
    assert {words.partition(",")[0] for words in ends} == {"epoch 2 of 2"}, "the words do not name the task again"
    assert {*ends.values()} == {100}


def test_prefect_has_a_task_run_per_step_with_its_tags(first: dict[str, Any], thaw: Thaw) -> None:
    runs = thaw.api("task_runs/filter", {"flow_runs": {"id": {"any_": [first["run"]]}}})
    assert {run["name"] for run in runs} == set(TASKS)
    assert all("thaw" in run["tags"] for run in runs)


def test_a_task_waits_for_a_slot_of_its_tags_limit(
    first: dict[str, Any], thaw: Thaw, place: Path, tmp_path: Path
) -> None:
    def limit(*words: str) -> None:
        subprocess.run(
            [sys.executable, "-m", "prefect", "concurrency-limit", *words], env=thaw.environment, check=True, timeout=60
        )

    slot = {"names": ["tag:publishing"], "slots": 1}
    waiting = {"task_runs": {"name": {"like_": "publish-"}, "state": {"type": {"any_": ["PENDING"]}}}}
    limit("create", "publishing", "1")
    thaw.api("v2/concurrency_limits/increment", slot)
    shutil.copytree(place / "home", tmp_path / "home")
    run = thaw.start("run", place / "small.yaml", "--home", tmp_path / "home", "--refresh", "publish", "--json")
    try:
        wait_until(lambda: thaw.api("task_runs/filter", waiting), 60, "a task run that waits")
        time.sleep(3)
        assert thaw.api("task_runs/filter", waiting), "it did not wait"
        thaw.api("v2/concurrency_limits/decrement", slot)
        out, error = run.communicate(timeout=120)
        done = json.loads(out)
    finally:
        run.kill()
        limit("delete", "publishing")
    assert [task["name"] for task in done["tasks"] if not task["cached"]] == ["publish"]
    words = "publish waits for a slot of the limit 'publishing', which has 1: all are taken by other runs."
    assert error.count(f"thaw: {words}\n") == 1
    logs = thaw.api("logs/filter", {"logs": {"flow_run_id": {"any_": [done["run"]]}}, "limit": 200})
    assert [log["message"] for log in logs if "waits" in log["message"]] == [words]


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
    assert list(changed) == ["stage_two", "calibrate", "evaluate", "baseline", "verdict", "report", "publish"]
    assert changed["stage_two"] == ["stage_two.optimizer.learning_rate 0.01 → 0.02"]
    assert changed["calibrate"] == ["stage_two would run before it"]


def test_a_plan_names_a_damaged_file_and_changes_nothing(first: dict[str, Any], thaw: Thaw, place: Path) -> None:
    digest = first["tasks"][0]["digest"]
    manifest = place / "home" / "artifacts" / "dataset" / digest / "images.parquet"
    content = manifest.read_bytes()
    manifest.write_bytes(content[:-1])
    reasons = plan_of(thaw, place)
    assert "images.parquet has" in reasons["ingest"][0]
    assert reasons["preflight"] == ["ingest would run before it"]
    manifest.write_bytes(content)
    assert plan_of(thaw, place) == {}


def test_a_damaged_artifact_is_built_again_and_the_rest_stays_cached(
    first: dict[str, Any], thaw: Thaw, place: Path
) -> None:
    digest = first["tasks"][2]["digest"]
    (shard, *_) = sorted((place / "home" / "artifacts" / "records" / digest).glob("train-*.tfrecord"))
    content = bytearray(shard.read_bytes())
    content[100] ^= 1
    shard.write_bytes(content)
    done = thaw("run", place / "small.yaml", "--home", place / "home", "--json")
    again = json.loads(done.stdout)
    assert [task["name"] for task in again["tasks"] if not task["cached"]] == ["records"]
    assert [task["digest"] for task in again["tasks"]] == [task["digest"] for task in first["tasks"]]
    aside = place / "home" / "quarantine" / "records" / f"{digest}.1"
    warning = f"{shard} was altered: its SHA-256 is not the recorded one. Set aside as {aside}, to be made again."
    assert (aside / shard.name).read_bytes() == content
    assert f"thaw: warning: {warning}" in done.stderr.splitlines()
    logs = thaw.api("logs/filter", {"logs": {"flow_run_id": {"any_": [again["run"]]}}, "limit": 200})
    assert [(log["level"], log["message"]) for log in logs if "Set aside" in log["message"]] == [(30, warning)]


def test_a_bit_that_flipped_behind_the_file_systems_back_is_found_with_verify(
    first: dict[str, Any], thaw: Thaw, place: Path
) -> None:
    """As on a failing disk: the file's size, times and inode say that nothing changed."""
    digest = first["tasks"][2]["digest"]
    (shard, *_) = sorted((place / "home" / "artifacts" / "records" / digest).glob("train-*.tfrecord"))
    time.sleep(2.1)  # younger files are not remembered
    assert plan_of(thaw, place) == {}
    content = shard.read_bytes()
    shard.write_bytes(content[:100] + bytes([content[100] ^ 1]) + content[101:])
    time.sleep(2.1)
    remember_wrongly(place / "home", shard, content)
    try:
        assert plan_of(thaw, place) == {}
        assert f"{shard} was altered" in plan_of(thaw, place, "--verify")["records"][0]
    finally:
        shard.write_bytes(content)
    assert plan_of(thaw, place, "--verify") == {}


def remember_wrongly(home: Path, path: Path, content: bytes) -> None:
    """Write into the memory that a file, as it is now, has another content."""
    FileDigests(home).sha256_of([path])
    with closing(sqlite3.connect(home / MEMORY_NAME)) as connection, connection:
        (identity,) = connection.execute("SELECT identity FROM files WHERE path = ?", [bytes(path)]).fetchone()
        row = (bytes(path), identity, hashlib.sha256(content).digest())
        connection.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", [*row, zlib.crc32(b"".join(row))])


def test_a_refreshed_task_runs_again_with_all_after_it_and_publishes_nothing_new(
    first: dict[str, Any], thaw: Thaw, place: Path
) -> None:
    before = Home.open(place / "home").registry
    log, releases = before.log(), before.list()
    again = json.loads(
        thaw("run", place / "small.yaml", "--home", place / "home", "--json", "--refresh", "evaluate").stdout
    )
    assert [task["name"] for task in again["tasks"] if not task["cached"]] == [
        "evaluate",
        "baseline",
        "verdict",
        "report",
        "publish",
    ]
    assert [task["digest"] for task in again["tasks"][:9]] == [task["digest"] for task in first["tasks"][:9]]
    assert again["release"] == first["release"]
    assert Home.open(place / "home").registry.log() == log
    assert Home.open(place / "home").registry.list() == releases
    assert plan_of(thaw, place) == {}


def test_a_plan_says_what_a_refresh_would_run(first: dict[str, Any], thaw: Thaw, place: Path) -> None:
    assert plan_of(thaw, place, "--refresh", "verdict", "--refresh", "evaluate") == {
        "evaluate": ["--refresh asks for it"],
        "baseline": ["evaluate would run before it"],
        "verdict": ["baseline would run before it"],
        "report": ["verdict would run before it"],
        "publish": ["report would run before it"],
    }


def test_a_task_that_is_not_there_cannot_be_refreshed(thaw: Thaw, place: Path) -> None:
    for command in ("run", "plan"):
        done = thaw(command, place / "small.yaml", "--home", place / "home", "--refresh", "stage_too")
        assert done.returncode == 2
        assert "There is no task 'stage_too'" in done.stderr
        assert "Nearest: stage_two." in done.stderr


def test_a_run_whose_result_was_lost_leaves_one_for_the_next(first: dict[str, Any], thaw: Thaw, place: Path) -> None:
    shutil.rmtree(place / "home" / "runs")
    lost = thaw("run", place / "small.yaml", "--home", place / "home", "--json")
    assert all(task["cached"] for task in json.loads(lost.stdout)["tasks"])
    found = thaw("run", place / "small.yaml", "--home", place / "home", "--json")
    assert "up to date" in found.stderr
    assert found.stdout == lost.stdout


def test_a_plan_writes_nothing_but_the_memory_of_digests(first: dict[str, Any], thaw: Thaw, place: Path) -> None:
    home = place / "home"
    (home / MEMORY_NAME).unlink(missing_ok=True)
    shutil.rmtree(home / "locks")
    before = {path: path.stat().st_mtime_ns for path in home.rglob("*")}
    assert plan_of(thaw, place) == {}
    after = {path: path.stat().st_mtime_ns for path in home.rglob("*") if path.name != MEMORY_NAME}
    assert after == before


def test_a_damaged_release_is_repaired_by_the_next_run(first: dict[str, Any], thaw: Thaw, place: Path) -> None:
    labels = Path(first["release"]["path"]) / "labels.txt"
    labels.write_text("nonsense\n")
    again = json.loads(thaw("run", place / "small.yaml", "--home", place / "home", "--json").stdout)
    assert [task["name"] for task in again["tasks"] if not task["cached"]] == ["publish"]
    assert labels.read_text() == "blue\nred\n"


def test_a_worse_model_is_released_but_not_used(worse: dict[str, Any], first: dict[str, Any], place: Path) -> None:
    assert worse["metrics"]["test"]["accuracy"] < first["metrics"]["test"]["accuracy"]
    assert worse["verdict"] in ("worse", "not shown")
    assert f"{first['release']['id']} alone on" in worse["reason"]
    assert not worse["release"]["champion"]
    assert Home.open(place / "home").registry.champions() == {"small": first["release"]["id"]}


def test_changed_stages_leave_ingest_and_records_cached(worse: dict[str, Any]) -> None:
    assert [task["name"] for task in worse["tasks"] if task["cached"]] == ["ingest", "preflight", "records"]


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


def test_after_a_clean_up_the_champions_run_is_still_up_to_date(
    worse: dict[str, Any], first: dict[str, Any], thaw: Thaw, place: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    shutil.copytree(place / "home", home)
    kinds: list[str] = []
    for options in (["--keep-releases", "1", "--older-than", "30d"], ["--keep-releases", "0", "--older-than", "0d"]):
        done = thaw("gc", *options, "--home", home, "--json")
        assert done.returncode == 0, done.stderr
        kinds += [item["kind"] for item in json.loads(done.stdout)["garbage"]]
        again = thaw("run", place / "small.yaml", "--home", home, "--json")
        assert "up to date" in again.stderr, again.stderr
        assert json.loads(again.stdout)["stages"] == first["stages"]
    assert kinds.count("artifact") >= 3  # of the worse run: two stages and an evaluation, at least
    assert {path.stem for path in (home / "runs").glob("*.json")} <= {path.stem for path in (home / "keys").iterdir()}
    # The worse one was the champion for a moment, in a test above, but a rollback does not return to it.
    assert {folder.name for folder in (home / "releases").glob("small-*")} == {first["release"]["id"]}


def test_nothing_is_cleaned_up_while_a_run_goes_on(first: dict[str, Any], thaw: Thaw, place: Path) -> None:
    home = ["--home", str(place / "home")]
    process = thaw.start("run", place / "small.yaml", *home, "--set", "seed=4")
    assert process.stderr is not None
    for line in process.stderr:
        if "before the first step" in line:
            break
    refused = thaw("gc", "--older-than", "0d", *home)
    assert process.poll() is None
    process.kill()
    process.communicate(timeout=60)
    assert refused.returncode == 1
    assert "A run is going on in the home folder" in refused.stderr
    assert thaw("gc", "--dry-run", *home).returncode == 0
