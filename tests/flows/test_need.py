"""Whether a run has to train, for each `retrain.when`. No TensorFlow, no Prefect: images and releases are made up."""

from pathlib import Path
from typing import Any

import pytest

from tests.ingest.pictures import Recorder
from tests.preflight.made import dataset_of, images, keep, learn, preflight
from tests.support import small_recipe, without_cost, write_pictures
from thaw.flows import requests
from thaw.flows.commands.run import run_recipe
from thaw.flows.graph import with_all_after
from thaw.flows.need import why_not
from thaw.flows.plan import plan
from thaw.pipeline_config.loading import load_recipe, shipped_recipes
from thaw.pipeline_config.schema import Recipe
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.home import Home
from thaw.tasks.ingest.dataset import DatasetImage, write_dataset
from thaw.tasks.ingest.step import DatasetFacts
from thaw.tasks.releases.release import RESOLVED_RECIPE_FILE_NAME
from thaw.tasks.runs import RunResult, nothing_new

OLD = images(50)
NEW = images(25, first=1000)  # 50 images, 45 of them to learn from
DARK = images(25, first=1000, brightness=9.0)
WHENS: list[Any] = ["always", "changed", "drifted", {"min_new_images": 51}, {"min_new_images": 50}]


def recipe_with(when: Any, **changes: Any) -> Recipe:
    return small_recipe(Path("photos"), retrain={"when": when}, **changes)


def reasons(home: Path, recipe: Recipe, dataset: ArtifactRef) -> list[str]:
    opened = Home.open(home)
    step = requests.preflight(recipe, opened, dataset)
    preflight(home, step, Recorder())
    found, _ = opened.find(step)
    assert found is not None
    return why_not(recipe, opened, dataset, found)


@pytest.mark.parametrize("when", WHENS)
def test_the_first_run_always_trains(tmp_path: Path, when: Any) -> None:
    assert reasons(tmp_path, recipe_with(when), keep(tmp_path, OLD)) == []


@pytest.mark.parametrize(
    ("found", "trains"),
    [
        (OLD, [True, False, False, False, False]),
        ([*OLD, *NEW], [True, True, False, False, True]),
        ([*OLD, *DARK], [True, True, True, False, True]),
        (OLD[:-1], [True, True, False, False, False]),
    ],
    ids=["the same images", "50 new ones", "50 new ones that are dark", "one less"],
)
def test_a_run_trains_when_the_recipe_says_so(tmp_path: Path, found: list[DatasetImage], trains: list[bool]) -> None:
    learn(tmp_path, keep(tmp_path, OLD))
    dataset = keep(tmp_path, found)
    assert [not reasons(tmp_path, recipe_with(when), dataset) for when in WHENS] == trains


def test_the_reasons_say_what_changed_and_what_was_asked_for(tmp_path: Path) -> None:
    champion = learn(tmp_path, keep(tmp_path, OLD))
    dataset = keep(tmp_path, [*OLD, *NEW])
    changed = f"The images since {champion.id}: 50 added."
    assert reasons(tmp_path, recipe_with({"min_new_images": 60}), dataset) == [
        changed,
        "retrain.when asks for 60 images that are new or have another label.",
    ]
    assert reasons(tmp_path, recipe_with("drifted"), dataset) == [changed, "No drift is shown (retrain.when)."]
    few = keep(tmp_path, [*OLD, *NEW[:2]])
    assert "there are 2 (retrain.when)" in reasons(tmp_path, recipe_with("drifted"), few)[1]
    same = [f"{champion.id} has learned from these very images."]
    assert reasons(tmp_path, recipe_with("changed"), keep(tmp_path, OLD)) == same


def test_a_renamed_file_is_no_need(tmp_path: Path) -> None:
    champion = learn(tmp_path, keep(tmp_path, OLD))
    names = DatasetImage.__slots__
    renamed = [DatasetImage(**{name: getattr(each, name) for name in names} | {"origin": "x"}) for each in OLD]
    assert reasons(tmp_path, recipe_with("changed"), keep(tmp_path, renamed)) == [
        f"The images since {champion.id}: no image added, removed, relabelled or moved."
    ]


def test_settings_that_no_release_was_made_with_are_a_need_until_one_was(tmp_path: Path) -> None:
    dataset = keep(tmp_path, OLD)
    champion = learn(tmp_path, dataset)
    other = recipe_with("changed", seed=7)
    assert reasons(tmp_path, other, dataset) == []
    tried = learn(tmp_path, dataset, other, tag="b")  # which then is not better:
    Home.open(tmp_path).registry.promote(champion.id, "for a test")
    assert reasons(tmp_path, other, dataset) == [f"{champion.id} has learned from these very images."]
    (tried.path / RESOLVED_RECIPE_FILE_NAME).write_text("damaged")
    assert reasons(tmp_path, other, dataset) == []


def test_when_a_run_is_made_and_what_it_looks_at_are_no_settings(tmp_path: Path) -> None:
    dataset = keep(tmp_path, OLD)
    learn(tmp_path, dataset)
    other = recipe_with("changed", execution={"retries": 5}, checks={"class_images": 3}, schedule={"cron": "0 3 * * 1"})
    moved = small_recipe(Path("elsewhere"), retrain={"when": "changed"})
    assert reasons(tmp_path, other, dataset) != []
    assert reasons(tmp_path, moved, dataset) != []


@pytest.mark.parametrize("form", [0, 1])
@pytest.mark.parametrize("when", ["changed", "drifted"])
def test_what_a_release_of_an_earlier_thaw_does_not_say_is_a_need(tmp_path: Path, form: int, when: str) -> None:
    champion = learn(tmp_path, keep(tmp_path, OLD), form=form)
    assert reasons(tmp_path, recipe_with(when), keep(tmp_path, OLD[:-1])) == []
    same = [f"{champion.id} has learned from these very images."]
    assert reasons(tmp_path, recipe_with(when), keep(tmp_path, OLD)) == same


@pytest.fixture
def ingested(tmp_path: Path) -> Recipe:
    """A recipe whose images are ingested, looked at, and one more than its champion learned from."""
    recipe = small_recipe(write_pictures(tmp_path / "data", each=1), retrain={"when": {"min_new_images": 2}})
    home = Home.open(tmp_path / "home")
    learn(home.path, keep(home.path, OLD[:-1]), recipe)
    dataset = dataset_of(OLD)

    def work(folder: Path) -> Any:
        write_dataset(folder, dataset.classes, dataset.images, duplicates=0, unreadable=[])
        return without_cost(DatasetFacts(classes=2, examples={}, duplicates=0, in_conflict=0, unreadable=0))

    reference = home.store.build(requests.ingest(recipe, home), work)
    preflight(home.path, requests.preflight(recipe, home, reference), Recorder())
    return recipe


def test_a_plan_says_what_is_not_needed_and_why(tmp_path: Path, ingested: Recipe) -> None:
    planned = plan(ingested, Home.open(tmp_path / "home"))
    assert planned.up_to_date
    assert [(task.name, task.cached) for task in planned.tasks if task.needed] == [
        ("ingest", True),
        ("preflight", True),
    ]
    records, *others = [task for task in planned.tasks if not task.needed]
    assert records.name == "records"
    assert records.reasons == planned.nothing_new
    assert "1 added" in records.reasons[0]
    assert {tuple(task.reasons) for task in others} == {("records is not needed",)}


def test_who_asks_for_a_task_again_gets_it(tmp_path: Path, ingested: Recipe) -> None:
    home = Home.open(tmp_path / "home")
    assert plan(ingested, home).nothing_new
    for task in ("ingest", "records", "publish"):
        planned = plan(ingested, home, with_all_after([task]))
        assert not planned.nothing_new
        assert all(task.needed for task in planned.tasks)


def test_always_trains_whatever_the_recipe_says(
    tmp_path: Path, ingested: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home.open(tmp_path / "home")
    planned = plan(ingested, home)
    result = nothing_new(home, "small", planned.nothing_new, planned.reports)
    asked = []

    def note(recipe: Recipe, *_: Any, **__: Any) -> RunResult:
        asked.append(recipe)
        return result

    monkeypatch.setattr("thaw.flows.commands.run._run_flow", note)
    run_recipe(ingested, frozenset(), home.path, verify=False, always=False, as_json=True)
    assert asked == []
    run_recipe(ingested, frozenset(), home.path, verify=False, always=True, as_json=True)
    assert not plan(asked[0], home).nothing_new


def test_a_plan_says_where_it_is_yet_to_be_found(tmp_path: Path, ingested: Recipe) -> None:
    home = Home.open(tmp_path / "home")
    undecided = ingested.model_copy(update={"checks": ingested.checks.model_copy(update={"class_images": 1})})
    planned = plan(undecided, home)
    assert planned.decides_next
    assert planned.tasks[1].reasons == [
        "checks.class_images 10 → 1",
        "it finds whether the tasks after it are needed",
    ]


@pytest.mark.parametrize("name", shipped_recipes())
def test_the_settings_that_a_release_states_are_those_of_its_recipe(tmp_path: Path, name: str) -> None:
    recipe = load_recipe(name, ("retrain.when=changed",), data=tmp_path / "photos")
    dataset = keep(tmp_path, OLD)
    learn(tmp_path, dataset, recipe)
    assert reasons(tmp_path, recipe, dataset) != []
