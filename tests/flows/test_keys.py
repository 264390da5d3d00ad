"""The keys of a run's tasks: what changes them, task by task, and what does not."""

import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support import baseline_without_champion, calibration_of, small_recipe, write_pictures
from thaw.flows.graph import GRAPH, with_all_after
from thaw.flows.requests import evaluate
from thaw.pipeline_config.errors import RequestError
from thaw.pipeline_config.loading import load_recipe
from thaw.pipeline_config.schema import Recipe
from thaw.pipeline_config.yaml_dialect import write_yaml
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.home import Home

DAY = 86_400


@pytest.fixture
def place(tmp_path: Path) -> Path:
    write_pictures(tmp_path / "data", each=3)
    document = small_recipe(tmp_path / "data").model_dump(mode="json", by_alias=True)
    (tmp_path / "small.yaml").write_text(write_yaml(document))
    return tmp_path


def keys(recipe: Recipe, home: Path) -> dict[str, str]:
    """The key of each task, if the tasks before it had made always the same."""
    made = {node.name: ArtifactRef(kind=node.name, digest="0" * 64) for node in GRAPH}
    made["calibrate"], made["baseline"] = calibration_of(home), baseline_without_champion(home)
    found = {}
    for node in GRAPH:
        if node.may_be_asked is None:  # the others: tests/flows/test_features.py and test_feature_drift.py
            inputs = {name: None if name.startswith("features") else made[name] for name in node.inputs}
            step = node.ask(recipe, Home.open(home), **inputs)
            assert step is not None
            found[node.name] = step.key
    return found


def keys_of(place: Path, *overrides: str, data: Path | None = None, name: str = "small.yaml") -> dict[str, str]:
    return keys(load_recipe(str(place / name), overrides, data=data), place / "home")


def changed(before: dict[str, str], after: dict[str, str]) -> list[str]:
    return [name for name, key in before.items() if after[name] != key]


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("evaluate.abstain={right: 0.9}", ["calibrate", "publish"]),
        ("evaluate.calibrate=false", ["calibrate", "publish"]),
        ("stage_two.epochs=3", ["stage_two", "report", "publish"]),
        ("stage_two.optimizer.learning_rate=0.5", ["stage_two", "report", "publish"]),
        ("stage_one.epochs=3", ["stage_one", "report", "publish"]),
        ("records.shard_megabytes=2", ["records", "publish"]),
        ("evaluate.confidence=0.9", ["evaluate", "publish"]),
        ("evaluate.slices=[size]", ["verdict", "publish"]),
        ("publish.floors.megabytes=1", ["verdict", "publish"]),
        ("publish.floors.milliseconds=1", ["verdict", "publish"]),
        ("publish.prefer_simpler=true", ["calibrate", "publish"]),
        ("publish.formats=[keras]", ["report", "publish"]),
        ("seed=4", ["ingest", "stage_one", "stage_two", "report", "publish"]),
        ("model.dropout=0.3", ["stage_one", "stage_two", "publish"]),
        ("deterministic=false", ["stage_one", "stage_two", "publish"]),
        ("devices=cpu", ["stage_one", "stage_two", "publish"]),
        ("checks.class_images=3", ["preflight"]),
        ("retrain.confidence=0.9", ["preflight"]),
        ("retrain.when=changed", []),
        ("execution.retries=9", []),
        ("execution.checkpoint_every=7", []),
        ("execution.deadline_minutes=1", []),
        ("schedule={cron: 0 3 * * 1}", []),
    ],
)
def test_a_setting_changes_the_keys_of_the_tasks_that_it_concerns_and_no_other(
    place: Path, setting: str, expected: list[str]
) -> None:
    assert changed(keys_of(place), keys_of(place, setting)) == expected


def test_the_evaluation_follows_the_temperature_alone(place: Path) -> None:
    recipe, home = small_recipe(place / "data"), Home.open(place / "home")
    records = ArtifactRef(kind="records", digest="0" * 64)
    one, same, other = (
        evaluate(recipe, home, records, records, records, calibration_of(home.path, temperature)).key
        for temperature in (1.5, 1.5, 1.6)
    )
    assert one == same != other


def backwards(document: Any) -> Any:
    if isinstance(document, dict):
        return {key: backwards(value) for key, value in reversed(document.items())}
    return [backwards(value) for value in document] if isinstance(document, list) else document


def test_the_order_of_the_recipes_keys_and_its_comments_change_no_key(place: Path) -> None:
    document = small_recipe(place / "data").model_dump(mode="json", by_alias=True)
    lines = [f"{line}  # a comment" for line in write_yaml(backwards(document)).splitlines()]
    assert lines[0].startswith("execution:")
    (place / "other.yaml").write_text("# Another comment.\n\n" + "\n".join(lines) + "\n")
    assert keys_of(place, name="other.yaml") == keys_of(place)


def test_the_paths_of_the_data_the_recipe_and_the_home_change_no_key(place: Path) -> None:
    shutil.copytree(place, place / "moved", ignore=shutil.ignore_patterns("moved"))
    assert keys_of(place / "moved", data=place / "moved" / "data") == keys_of(place)


@pytest.mark.parametrize("days", [-1, 1])
def test_the_clock_changes_no_key(place: Path, monkeypatch: pytest.MonkeyPatch, days: int) -> None:
    before = keys_of(place)
    clock, clock_ns = time.time, time.time_ns
    monkeypatch.setattr(time, "time", lambda: clock() + days * DAY)
    monkeypatch.setattr(time, "time_ns", lambda: clock_ns() + days * DAY * 10**9)
    assert keys_of(place) == before


def rename_a_class(data: Path) -> None:
    (data / "red").rename(data / "scarlet")


def exchange_an_image(data: Path) -> None:
    (data / "red" / "000.png").write_bytes((data / "red" / "001.png").read_bytes() + b"other")


def remove_an_image(data: Path) -> None:
    (data / "red" / "000.png").unlink()


@pytest.mark.parametrize("change", [rename_a_class, exchange_an_image, remove_an_image])
def test_a_change_of_the_images_is_a_change_of_the_dataset_and_by_itself_of_nothing_else(
    place: Path, change: Any
) -> None:
    before = keys_of(place)
    change(place / "data")
    assert changed(before, keys_of(place)) == ["ingest"]


def test_with_a_task_come_all_after_it() -> None:
    assert with_all_after([]) == frozenset()
    assert with_all_after(["publish"]) == {"publish"}
    assert with_all_after(["publish", "evaluate"]) == {"evaluate", "baseline", "verdict", "report", "publish"}
    assert with_all_after(["ingest"]) == {node.name for node in GRAPH}
    with pytest.raises(RequestError, match=r"There is no task 'evaluat'\. .* Nearest: evaluate\."):
        with_all_after(["evaluat"])


def test_the_datasets_own_seed_keeps_the_images_where_they_are(place: Path) -> None:
    before = keys_of(place)  # the recipe's seed is 3
    named, other = keys_of(place, "dataset.seed=3"), keys_of(place, "dataset.seed=4")
    assert named["ingest"] == before["ingest"] != other["ingest"]
    moved = keys_of(place, "seed=5", "dataset.seed=3")
    assert {name for name in before if moved[name] == before[name]} >= {"ingest", "records"}
    assert moved["stage_one"] != before["stage_one"]
    assert other["stage_one"] == before["stage_one"]
