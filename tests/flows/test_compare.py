"""`thaw compare` of two small recipes with two seeds, as a user sees it, and what Prefect shows of it."""

import csv
import json
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.prefect_server import Thaw
from tests.support import small_recipe, write_pictures
from thaw.pipeline_config.yaml_dialect import write_yaml
from thaw.tasks.home import Home

RUNS = [("small", 0), ("small", 1), ("hasty", 0), ("hasty", 1)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("compare")
    write_pictures(folder / "data", each=30)
    hasty = {"resolution": 16, "train": "head", "epochs": 1, "optimizer": {"name": "sgd", "learning_rate": 1e-6}}
    for name, changes in (("small", {}), ("hasty", {"stage_one": hasty, "stage_two": hasty | {"resolution": 24}})):
        recipe = small_recipe(folder / "data", name=name, **changes).model_dump(mode="json", by_alias=True)
        (folder / f"{name}.yaml").write_text(write_yaml(recipe))
    return folder


@pytest.fixture(scope="module")
def first(thaw: Thaw, place: Path) -> dict[str, Any]:
    """The comparison that does all the work, two runs at a time."""
    done = thaw(*command(place), "--workers", "2", "--json", timeout=800)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result | {"stderr": done.stderr}


def command(place: Path) -> list[str | Path]:
    return ["compare", place / "small.yaml", place / "hasty.yaml", "--seeds", "0,1", "--home", place / "home"]


def without_costs(comparison: dict[str, Any]) -> Any:
    return [{key: run[key] for key in ("recipe", "seed", "accuracy", "weights_sha256")} for run in comparison["runs"]]


@pytest.mark.slow
def test_every_recipe_runs_with_every_seed_on_the_same_images(first: dict[str, Any]) -> None:
    assert [(run["recipe"], run["seed"]) for run in first["runs"]] == RUNS
    assert len({run["test_images"] for run in first["runs"]}) == 1
    assert len({run["weights_sha256"] for run in first["runs"]}) == 4
    done = [task["name"] for task in first["tasks"] if not task["cached"]]
    assert {name: done.count(name) for name in sorted(set(done))} == {
        "calibrate": 4,
        "evaluate": 4,
        "ingest": 1,
        "records": 1,
        "stage_one": 4,
        "stage_two": 4,
    }


@pytest.mark.slow
def test_the_log_says_which_run_a_line_is_about(first: dict[str, Any]) -> None:
    for recipe, seed in RUNS:
        assert f"thaw: {recipe}, seed {seed}: Stage two earned" in first["stderr"]


@pytest.mark.slow
def test_what_can_learn_is_better_than_what_cannot(first: dict[str, Any]) -> None:
    (pair,) = first["pairs"]
    small, hasty = first["recipes"]
    assert pair["difference"]["estimate"] == pytest.approx(small["accuracy"]["mean"] - hasty["accuracy"]["mean"])
    assert pair["difference"]["low"] <= pair["difference"]["estimate"] <= pair["difference"]["high"]
    earned = small["resolution_earned"]["estimate"] + small["stage_two_earned"]["estimate"]
    assert earned == pytest.approx(small["accuracy"]["mean"] - small["stage_one_accuracy"]["mean"])
    assert hasty["stage_one"]["peak_memory_bytes"] > 50e6
    assert hasty["stage_one"]["images_per_second"]["low"] > 0


@pytest.mark.slow
def test_the_folder_holds_tables_and_a_picture(first: dict[str, Any]) -> None:
    folder = Path(first["folder"])
    with (folder / "runs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["recipe"], int(row["seed"])) for row in rows] == RUNS
    for name, length in (("recipes", 2), ("pairs", 1), ("runs", 4)):
        assert pq.read_table(folder / f"{name}.parquet").num_rows == length
    assert "| small | hasty |" in (folder / "comparison.md").read_text()
    with Image.open(folder / "accuracy_against_seconds.png") as image:
        image.verify()


@pytest.mark.slow
def test_nothing_is_published(first: dict[str, Any], place: Path) -> None:
    assert Home.open(place / "home").registry.list() == []
    assert not (place / "home" / "artifacts" / "release").exists()


@pytest.mark.slow
def test_prefect_shows_one_flow_with_tables(first: dict[str, Any], thaw: Thaw) -> None:
    (run,) = thaw.api("flow_runs/filter", {"flow_runs": {"id": {"any_": [first["run"]]}}})
    assert (run["name"], run["state_type"]) == ("small-hasty-seeds-0-1", "COMPLETED")
    tasks = thaw.api("task_runs/filter", {"task_runs": {"flow_run_id": {"any_": [first["run"]]}}})
    assert {f"stage_one: {recipe}, seed {seed}" for recipe, seed in RUNS} <= {task["name"] for task in tasks}
    assert {task["state_type"] for task in tasks} == {"COMPLETED"}
    artifacts = thaw.api("artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [first["run"]]}}})
    tables = {artifact["key"]: json.loads(artifact["data"]) for artifact in artifacts if artifact["type"] == "table"}
    assert {row["recipe"] for row in tables["comparison-recipes"]} == {"small", "hasty"}
    assert tables["comparison-pairs"][0]["first"] == "small"


@pytest.mark.slow
def test_the_same_comparison_again_is_all_cached_and_says_the_same(
    first: dict[str, Any], thaw: Thaw, place: Path
) -> None:
    done = thaw(*command(place), "--json", "--output", place / "elsewhere")
    assert done.returncode == 0, done.stderr
    again = json.loads(done.stdout)
    assert all(task["cached"] for task in again["tasks"])
    assert without_costs(again) == without_costs(first)
    assert again["recipes"] == first["recipes"]
    assert again["folder"] == str(place / "elsewhere")


@pytest.mark.slow
def test_a_run_of_one_seed_finds_what_the_comparison_made(first: dict[str, Any], thaw: Thaw, place: Path) -> None:
    seeds = ["--set", "seed=1", "--set", "dataset.seed=3"]  # 3 is the recipe's own
    done = thaw("plan", place / "small.yaml", *seeds, "--home", place / "home", "--json")
    cached = {task["name"]: task["cached"] for task in json.loads(done.stdout)}
    assert [name for name, there in cached.items() if there] == [
        "ingest",
        "records",
        "stage_one",
        "stage_two",
        "calibrate",
        "evaluate",
    ]


@pytest.mark.slow
def test_one_failed_run_fails_the_comparison_after_the_others(first: dict[str, Any], thaw: Thaw, place: Path) -> None:
    wild = small_recipe(place / "data", name="wild").model_dump(mode="json", by_alias=True)
    wild["stage_one"]["optimizer"] = {"name": "sgd", "learning_rate": 1e6}
    (place / "wild.yaml").write_text(write_yaml(wild))
    done = thaw("compare", place / "wild.yaml", place / "small.yaml", "--seeds", "0", "--home", place / "home")
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if "runs failed" in line]
    assert line.startswith("thaw: 1 of 2 runs failed. wild, seed 0: ")
    assert done.stdout == ""


@pytest.mark.slow
def test_recipes_that_are_tested_on_different_images_are_refused_before_training(
    first: dict[str, Any], thaw: Thaw, place: Path
) -> None:
    other = small_recipe(place / "data", name="other", seed=4).model_dump(mode="json", by_alias=True)
    (place / "other.yaml").write_text(write_yaml(other))
    files = [place / "small.yaml", place / "other.yaml"]
    done = thaw("compare", *files, "--seeds", "7", "--home", place / "home")
    assert done.returncode == 2
    assert "small and other are not tested on the same images" in done.stderr
    assert "stage_one" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupted_comparison_leaves_checkpoints_and_no_process(thaw: Thaw, place: Path, workers: int) -> None:
    long = small_recipe(place / "data", name=f"long_{workers}").model_dump(mode="json", by_alias=True)
    long["stage_one"]["epochs"] = 100_000
    (place / "long.yaml").write_text(write_yaml(long))
    home = place / f"home-{workers}"
    process = thaw.start(
        "compare", place / "long.yaml", "--seeds", "0,1", "--home", home, "--workers", str(workers), "--json"
    )
    assert process.stderr is not None
    waiting = {f"seed {seed}: stage_one, epoch 2 of" for seed in range(workers)}
    while waiting:
        line = process.stderr.readline()
        assert line, "it ended before it was interrupted"
        waiting = {words for words in waiting if words not in line}
    children = psutil.Process(process.pid).children()
    process.terminate()
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (143, "")
    assert "Traceback" not in stderr
    assert psutil.wait_procs(children, timeout=20)[1] == []
    assert len(list((home / "checkpoints").glob("*/*.npz"))) >= workers
    runs = thaw.api("flow_runs/filter", {"flow_runs": {"name": {"any_": [f"long_{workers}-seeds-0-1"]}}})
    tasks = thaw.api("task_runs/filter", {"task_runs": {"flow_run_id": {"any_": [run["id"] for run in runs]}}})
    assert [run["state_type"] for run in runs] == ["CRASHED"]
    trainings = [task["state_type"] for task in tasks if task["name"].startswith("stage_one")]
    assert trainings == ["CRASHED"] * workers
