"""Features in a run: when they are computed, what changes their keys, and what a plan says of them. No Prefect."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support import WalkHere, build_records, small_recipe, write_pictures
from tests.training.features import AUGMENT, stage
from thaw.flows import requests
from thaw.flows.graph import TRAINING, with_all_after
from thaw.flows.plan import plan
from thaw.pipeline_config.schema import Recipe
from thaw.tasks.home import Home
from thaw.tasks.training.features import work as features_work

LAST_BLOCK = {"last_blocks": 1}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("features") / "data", each=20)


def recipe_of(data: Path, **changes: Any) -> Recipe:
    stages = {"stage_one": stage(epochs=2, feature_views=2), "stage_two": stage(train=LAST_BLOCK, epochs=2)}
    return small_recipe(data, **{"augment": AUGMENT} | stages | changes)


def trained(recipe: Recipe, home: Path, refresh: frozenset[str] = frozenset()) -> list[str]:
    """Train both stages; give the names of the tasks that did something."""
    walk = WalkHere(recipe, home, refresh)
    walk.made["records"] = build_records(home, recipe)
    walk.go(TRAINING)
    return walk.ran


def planned(recipe: Recipe, home: Path) -> dict[str, bool]:
    return {task.name: task.cached for task in plan(recipe, Home.open(home)).tasks}


def remove_features(home: Path) -> None:
    shutil.rmtree(home / "artifacts" / "features")


def test_one_pass_is_made_for_both_stages_and_none_for_stages_that_are_there(data: Path, tmp_path: Path) -> None:
    recipe = recipe_of(data)
    assert "features_two" not in planned(recipe, tmp_path)
    assert trained(recipe, tmp_path) == ["features_one", "stage_one", "stage_two"]
    assert trained(recipe, tmp_path) == []
    remove_features(tmp_path)
    assert trained(recipe, tmp_path) == []  # nothing needs them any more
    assert not {"features_one", "features_two"} & planned(recipe, tmp_path).keys()
    assert planned(recipe, tmp_path)["stage_two"]
    other = recipe_of(data, stage_two=stage(train=LAST_BLOCK, epochs=2, label_smoothing=0.1))
    assert planned(other, tmp_path) | {"evaluate": False} == planned(other, tmp_path)
    to_do = [name for name, cached in planned(other, tmp_path).items() if not cached and name != "preflight"]
    assert to_do[:2] == ["features_two", "stage_two"]
    assert trained(other, tmp_path) == ["features_two", "stage_two"]


def test_where_stage_two_looks_at_other_pictures_each_stage_has_its_own(data: Path, tmp_path: Path) -> None:
    recipe = recipe_of(data, stage_two=stage(train=LAST_BLOCK, epochs=2, resolution=24))
    assert list(planned(recipe, tmp_path))[3:7] == ["features_one", "stage_one", "features_two", "stage_two"]
    assert trained(recipe, tmp_path) == ["features_one", "stage_one", "features_two", "stage_two"]


def test_refreshing_a_stage_takes_the_features_that_are_there(data: Path, tmp_path: Path) -> None:
    recipe = recipe_of(data)
    trained(recipe, tmp_path)
    assert trained(recipe, tmp_path, frozenset({"stage_one", "stage_two"})) == ["stage_one", "stage_two"]
    refreshed = trained(recipe, tmp_path, with_all_after(["features_one"]))
    assert refreshed == ["features_one", "stage_one", "stage_two"]  # one pass, once


def test_without_room_on_the_disk_the_stages_are_those_of_a_recipe_without_features(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = recipe_of(data)
    with monkeypatch.context() as patch:
        patch.setattr(features_work, "_ROOM_TO_LEAVE", 2**62)
        assert trained(recipe, tmp_path) == ["features_one", "stage_one", "stage_two"]
        assert trained(recipe, tmp_path) == ["features_one"]  # it looks again, and the stages are there
    without = {"stage_one": stage(epochs=2, feature_views=0), "stage_two": stage(train=LAST_BLOCK, feature_views=0)}
    without["stage_two"]["epochs"] = 2
    assert trained(recipe_of(data, **without), tmp_path) == []
    assert trained(recipe, tmp_path) == ["features_one", "stage_one", "stage_two"]  # now there is room


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"stage_one": stage(epochs=9, feature_views=2)}, True),
        ({"stage_one": stage(epochs=2, feature_views=2, batch_size=5)}, True),
        ({"stage_one": stage(epochs=2, feature_views=2, optimizer={"name": "sgd", "learning_rate": 1.0})}, True),
        ({"model": {"backbone": "SmallCNN", "dropout": 0.5}}, True),
        ({"execution": {"retries": 5}}, True),
        ({"stage_one": stage(epochs=1, feature_views=2)}, False),  # the second view would not be used
        ({"stage_one": stage(epochs=2, feature_views=1)}, False),
        ({"stage_one": stage(epochs=2, feature_views=2, resolution=32)}, False),
        ({"augment": []}, False),
        ({"seed": 4, "dataset": "same"}, False),
        ({"precision": "bfloat16"}, False),
        ({"stage_two": stage(train={"last_blocks": 2}, epochs=2)}, True),
        ({"stage_two": stage(train=LAST_BLOCK, epochs=8)}, True),
        ({"stage_two": stage(train=LAST_BLOCK, epochs=8, feature_views=3)}, True),
        ({"stage_two": stage(train=LAST_BLOCK, epochs=2, resolution=24)}, True),
    ],
)
def test_the_key_of_features_depends_on_what_they_hold(
    data: Path, tmp_path: Path, change: dict[str, Any], same: bool
) -> None:
    source = {"source": {"kind": "directory", "path": str(data)}, "seed": 3}
    change = change | ({"dataset": source} if "dataset" in change else {})
    plain = recipe_of(data, dataset=source)
    records = build_records(tmp_path, plain)
    keys = []
    for recipe in (plain, recipe_of(data, **{"dataset": source} | change)):
        step = requests.features_one(recipe, Home.open(tmp_path), records)
        assert step is not None
        keys.append(step.key)
    assert (keys[0] == keys[1]) == same


def test_views_beyond_the_stages_own_settings_change_no_key_of_it(data: Path, tmp_path: Path) -> None:
    recipe = recipe_of(data)
    records = build_records(tmp_path, recipe)
    features = requests.features_one(recipe, Home.open(tmp_path), records)
    with_features, without = (
        requests.stage_one(recipe, Home.open(tmp_path), records, each).key for each in (features, None)
    )
    zero = recipe_of(data, stage_one=stage(epochs=2, feature_views=0))
    assert with_features != without == requests.stage_one(zero, Home.open(tmp_path), records, None).key


def test_the_backbones_own_resolution_is_the_same_whether_it_is_written_out_or_not(data: Path, tmp_path: Path) -> None:
    frozen = {"train": "head", "feature_views": 2, "epochs": 2}
    left_out, written = ({"stage_one": stage(**frozen, resolution=size)} for size in (None, 32))
    recipes = [recipe_of(data, **one, stage_two=stage(**frozen, resolution=32)) for one in (left_out, written)]
    home, records = Home.open(tmp_path), build_records(tmp_path, recipes[0])
    assert all(requests.one_pass_does(recipe) for recipe in recipes)
    keys = [
        (requests.stage_one(recipe, home, records, features).key, features and features.key)
        for recipe in recipes
        for features in (None, requests.features_one(recipe, home, records))
    ]
    assert keys[:2] == keys[2:]
