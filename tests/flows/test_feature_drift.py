"""The comparison of features in a run: when it is made, what follows, what a plan says. No TensorFlow, no Prefect."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.feature_drift.made import Compared, folder_for, recipe_of
from tests.preflight.made import images, learn
from thaw.flows.graph import EXPERIMENT, with_all_after
from thaw.flows.plan import plan
from thaw.pipeline_config.errors import RecipeError
from thaw.pipeline_config.schema import Recipe
from thaw.tasks.home import Home
from thaw.tasks.ingest.dataset import DatasetImage
from thaw.tasks.releases.preflight import FeatureDriftFacts, PreflightFacts
from thaw.tasks.runs import looked_at

OLD = images(100)  # 160 of them for training
NEW = images(25, first=1000)  # 40 of them for training
ALL = [*OLD, *NEW]
COMPARED = ["ingest", "preflight", "records", "features_one", "feature_drift"]


class Place:
    """A home folder whose champion learned from the old images."""

    def __init__(self, folder: Path) -> None:
        self.data, self.home = folder / "data", folder / "home"
        first = self.go(OLD, recipe_of(folder_for(self.data, OLD)))
        assert (first.ran, first.nothing_new) == (["ingest", "preflight", "records"], [])  # there is no champion yet
        self.first, self.champion = first, learn(self.home, first.made["ingest"], first.recipe)

    def recipe(self, found: Sequence[DatasetImage] = ALL, **settings: Any) -> Recipe:
        return recipe_of(folder_for(self.data, found), **settings)

    def go(self, found: Sequence[DatasetImage] = ALL, recipe: Recipe | None = None, **drawn: Any) -> Compared:
        return Compared(recipe or self.recipe(found), self.home, found, **drawn)

    def facts(self, walk: Compared) -> PreflightFacts:
        store = walk.home.store
        looked = store.facts(walk.made["preflight"], PreflightFacts)
        return store.facts(walk.made["feature_drift"], FeatureDriftFacts).beside(looked)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_features_that_are_like_the_old_ones_are_no_need_and_the_next_run_has_nothing_to_do(place: Place) -> None:
    walk = place.go()
    reasons = [f"The images since {place.champion.id}: 50 added.", "No drift is shown (retrain.when)."]
    assert (walk.ran, walk.nothing_new) == (COMPARED, reasons)
    found = place.facts(walk)
    assert [each.of for each in found.drift] == ["class mix", "size", "brightness", "features"]
    assert [each.level for each in found.drift] == [pytest.approx(0.01 / 4)] * 4
    assert (found.not_tested, found.warnings) == (None, [])
    shutil.rmtree(place.home / "artifacts" / "features")  # as `thaw gc` may
    again = place.go()
    assert (again.ran, again.nothing_new) == ([], reasons)
    planned = plan(walk.recipe, walk.home)
    assert (planned.up_to_date, planned.nothing_new) == (True, reasons)
    needed = [task.name for task in planned.tasks if task.needed]
    assert needed == ["ingest", "preflight", "records", "feature_drift"]
    assert planned.tasks[4].reasons == reasons
    assert looked_at(walk.home, planned.reports) == found  # which is the result that `thaw run` gives then


@pytest.mark.parametrize(("shape", "row_type"), [((8,), "float32"), ((3, 2, 8), "float16"), ((2, 2, 8), "bfloat16")])
def test_features_that_are_others_are_a_need_in_whichever_form_they_are_kept(
    place: Place, shape: tuple[int, ...], row_type: Any
) -> None:
    walk = place.go(shift=1.5, shape=shape, row_type=row_type)
    assert (walk.ran, walk.nothing_new) == (COMPARED, [])
    found = place.facts(walk)
    assert [each.of for each in found.drift if each.is_shown] == ["features"]
    assert [warning for warning in found.warnings if "differ in features (maximum mean" in warning] == found.warnings


def test_once_a_release_has_learned_from_them_nothing_is_compared_and_nothing_is_made(place: Place) -> None:
    walk = place.go(shift=1.5)
    champion = learn(place.home, walk.made["ingest"], walk.recipe, tag="b")
    for when in ("drifted", "changed", "always"):
        again = place.go(recipe=place.recipe(when=when), shift=1.5)
        assert (again.ran, again.made.get("feature_drift")) == ([], None)
        reasons = [] if when == "always" else [f"{champion.id} has learned from these very images."]
        assert again.nothing_new == reasons


@pytest.mark.parametrize("when", ["always", "changed", {"min_new_images": 50}])
def test_where_something_else_is_the_need_a_drift_of_features_is_told_and_decides_nothing(
    place: Place, when: Any
) -> None:
    for shift in (0.0, 1.5):
        walk = place.go(recipe=place.recipe(when=when), shift=shift)
        assert walk.nothing_new == []
        assert place.facts(walk).drift[-1].is_shown == (shift > 0)
        shutil.rmtree(place.home / "keys")


def test_without_being_asked_for_there_is_no_such_task(place: Place) -> None:
    recipe = place.recipe(features=False)
    walk = place.go(recipe=recipe, shift=1.5)
    assert walk.ran == ["ingest", "preflight"]
    assert walk.nothing_new[1:] == ["No drift is shown (retrain.when)."]
    looked = walk.home.store.facts(walk.made["preflight"], PreflightFacts)
    assert [each.level for each in looked.drift] == [pytest.approx(0.01 / 3)] * 3
    planned = plan(recipe.model_copy(update={"seed": 5}), Home.open(place.home))
    assert "feature_drift" not in [task.name for task in planned.tasks]


def test_few_new_images_for_training_are_not_compared_and_the_reasons_say_so(place: Place) -> None:
    few = [*OLD, *NEW[:10], *[image for image in NEW if image.split == "validation"], *images(4, first=2000)]
    walk = place.go(few)
    assert walk.ran == COMPARED
    assert walk.nothing_new[1] == (
        "No drift is shown; the new images' features were not compared: it takes 20 images for training of either "
        f"kind, and there are 160 from which {place.champion.id} learned, and 18 new ones (retrain.when)."
    )
    assert place.facts(walk).warnings == []


def test_where_the_old_images_are_gone_nothing_is_compared(place: Place) -> None:
    walk = place.go([*NEW, *OLD[:6]])
    assert "6 from which" in str(place.facts(walk).not_tested)


def test_where_keeping_features_does_not_pay_there_is_a_warning(place: Place) -> None:
    recipe = place.recipe(feature_views="auto", epochs=4)
    learn(place.home, place.first.made["ingest"], recipe, tag="b")
    walk = place.go(recipe=recipe)
    assert walk.ran == ["ingest", "preflight", "records", "feature_drift"]
    assert "their features were not compared" not in walk.nothing_new[0]
    assert walk.nothing_new[1] == (
        "No drift is shown; the new images' features were not compared: none are kept (retrain.when)."
    )
    (warning,) = place.facts(walk).warnings
    assert "stage_one.feature_views to a number, such as 4" in warning
    assert len(warning) < 500


def test_where_the_disk_had_no_room_for_features_they_are_compared_once_it_has(place: Place) -> None:
    walk = place.go(has_room=False)
    assert walk.ran == COMPARED
    assert place.facts(walk).not_tested == "the new images' features were not compared: none are kept"
    walk = place.go()
    assert walk.ran == ["features_one", "feature_drift"]
    assert place.facts(walk).not_tested is None


def test_a_plan_says_what_would_be_compared_and_that_it_decides(place: Place) -> None:
    recipe, home = place.recipe(), Home.open(place.home)
    rows = {task.name: task.reasons for task in plan(recipe, home).tasks}
    decides = "it finds whether the tasks after it are needed"
    assert rows["preflight"] == ["ingest would run before it", decides]
    assert rows["feature_drift"][0].endswith("would run before it, and decides whether it is needed")
    walk = place.go(recipe=recipe)
    for key in place.home.joinpath("keys").iterdir():
        if '"kind": "feature' in key.read_text() or '"kind":"feature' in key.read_text():
            key.unlink()
    planned = plan(recipe, home)
    rows = {task.name: task.reasons for task in planned.tasks if not task.cached}
    assert list(rows)[:3] == ["features_one", "feature_drift", "stage_one"]
    assert rows["feature_drift"] == ["it has not run yet", decides]
    assert not planned.decides_next  # features are computed before, which takes TensorFlow
    assert planned.nothing_new == []
    assert walk.nothing_new != []


def test_who_asks_for_it_again_gets_it_and_what_comes_after_only_with_a_need(place: Place) -> None:
    walk = place.go()
    planned = plan(walk.recipe, walk.home, with_all_after(["feature_drift"]))
    assert [task.name for task in planned.tasks if not task.cached] == ["feature_drift", *_AFTER]


_AFTER = ["stage_one", "stage_two", "calibrate", "evaluate", "baseline", "verdict", "report", "publish"]


def test_an_experiment_compares_no_features() -> None:
    assert "feature_drift" not in [node.name for node in EXPERIMENT]


@pytest.mark.parametrize(
    ("setting", "received"),
    [({"train": "all"}, "train: all"), ({"epochs": 0}, "epochs: 0"), ({"feature_views": 0}, "feature_views: 0")],
)
def test_a_recipe_that_keeps_no_features_cannot_compare_any(setting: dict[str, Any], received: str) -> None:
    with pytest.raises(RecipeError, match=rf"Received: stage_one with {received}\. Expected: train: head") as caught:
        recipe_of(Path("photos"), **setting)
    assert len(str(caught.value)) < 500
    recipe_of(Path("photos"), features=False, **setting)
