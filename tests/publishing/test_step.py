"""What a release's key and id depend on, and the recipe that it states."""

import pytest

from thaw.pipeline_config.loading import load_recipe
from thaw.pipeline_config.schema import Recipe
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.publishing.portable_recipe import portable_recipe, recipe_yaml
from thaw.tasks.publishing.step import PublishStep, PublishWork

NAMES = ("dataset", "records", "stage_one", "stage_two", "calibration", "evaluation", "verdict", "report")


def step(recipe, **changes):
    refs = {name: ArtifactRef(kind=name, digest="0" * 64) for name in NAMES}
    written = portable_recipe(recipe, resolved=False)
    return PublishStep(recipe=recipe.resolved, written=written, stage="stage_two", **{**refs, **changes})


def directory_recipe(folder, *overrides):
    return load_recipe("cats_dogs", overrides, data=folder / "photos", weights=folder / "w.weights.h5")


def test_the_key_does_not_follow_paths_schedule_or_execution(tmp_path):
    one = step(directory_recipe(tmp_path / "one"))
    other = step(directory_recipe(tmp_path / "other", "execution.retries=7", "schedule={cron: 0 3 * * *}"))
    assert one.key == other.key
    assert str(tmp_path) not in str(one.key_document)


@pytest.mark.parametrize("override", ["seed=1", "publish.formats=[keras]", "stage_two.epochs=3", "model.dropout=0.5"])
def test_the_key_follows_what_the_release_says(tmp_path, override):
    assert step(directory_recipe(tmp_path)).key != step(directory_recipe(tmp_path, override)).key


@pytest.mark.parametrize("name", NAMES)
def test_the_key_follows_every_input(tmp_path, name):
    recipe = load_recipe("digits")
    assert step(recipe).key != step(recipe, **{name: ArtifactRef(kind=name, digest="1" * 64)}).key


def test_the_request_survives_the_way_to_the_child(tmp_path):
    work = PublishWork(home=tmp_path, folder=tmp_path, step=step(directory_recipe(tmp_path)))
    again = PublishWork.model_validate_json(work.model_dump_json())
    assert again.model_dump_json() == work.model_dump_json()
    assert again.step.key == work.step.key


def stated(recipe: Recipe, started_from: str | None = None) -> str:
    document = portable_recipe(recipe, resolved=False)
    return recipe_yaml(document, "recipe.yaml", "as it was written", recipe.dataset.source, started_from)


def test_the_stated_recipe_can_be_run_and_names_no_folder_of_this_machine(tmp_path):
    recipe = directory_recipe(tmp_path, "stage_two.optimizer.learning_rate=1e-05")
    text = stated(recipe)
    assert str(tmp_path) not in text
    assert text.splitlines()[0].endswith("thaw run recipe.yaml --set dataset.source.path=PLACE --weights FILE")
    (tmp_path / "recipe.yaml").write_text(text)
    data, weights = tmp_path / "photos", tmp_path / "w.weights.h5"
    assert load_recipe(str(tmp_path / "recipe.yaml"), data=data, weights=weights) == recipe


def test_the_stated_recipe_of_digits_needs_no_options(tmp_path):
    (tmp_path / "recipe.yaml").write_text(stated(load_recipe("digits")))
    assert load_recipe(str(tmp_path / "recipe.yaml")) == load_recipe("digits")


@pytest.mark.parametrize("written", ["champion", "{champion: {otherwise: x.h5, shrink: 0.4}}"])
def test_the_stated_recipe_names_the_release_that_it_started_from_and_can_start_from_a_later_one(tmp_path, written):
    recipe = directory_recipe(tmp_path, f"model.weights={written}")
    text = stated(recipe, "cats_dogs-0123456789ab")
    assert str(tmp_path) not in text
    first, second, *_ = text.splitlines()
    assert first.endswith("--weights FILE")
    assert second == "# Training started from the weights of cats_dogs-0123456789ab, the champion then."
    (tmp_path / "recipe.yaml").write_text(text)
    again = load_recipe(str(tmp_path / "recipe.yaml"), data=tmp_path / "photos", weights=tmp_path / "w.weights.h5")
    assert again == recipe
    assert "champion then" not in stated(recipe)
