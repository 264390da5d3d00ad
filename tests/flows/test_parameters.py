"""The parameters of a deployment: what the form of Prefect's UI shows of them, and what a run makes of them."""

from pathlib import Path

import pytest
from prefect.exceptions import ParameterTypeError

from tests.support import small_recipe
from thaw.flows.parameters import as_text, form
from thaw.flows.retrain import retrain
from thaw.pipeline_config.errors import RecipeError
from thaw.pipeline_config.loading import change_recipe, load_recipe, shipped_recipes
from thaw.pipeline_config.schema import Recipe


def recipe_of(home: Path, recipe: object) -> Recipe:
    """What a run gets for the parameter `recipe`."""
    found: Recipe = retrain.validate_parameters({"recipe": recipe, "home": str(home)})["recipe"]
    return found


def test_the_form_asks_first_what_may_be_changed_and_shows_the_recipe_as_a_constant() -> None:
    recipe = load_recipe("digits")
    properties = form(retrain, as_text(recipe)).properties
    assert sorted(properties, key=lambda name: properties[name]["position"]) == ["set", "refresh", "data", "recipe"]
    assert properties["recipe"]["const"] == as_text(recipe)
    assert {name: field["type"] for name, field in properties.items()} == {
        "set": "array",
        "refresh": "array",
        "data": "string",
        "recipe": "string",
    }
    assert "stage_two" in properties["refresh"]["items"]["enum"]
    assert all(field["description"] for field in properties.values())


@pytest.mark.parametrize("name", shipped_recipes())
def test_a_recipe_is_the_same_as_text_and_as_the_document_of_an_earlier_version(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    assert recipe_of(tmp_path, as_text(recipe)) == recipe
    assert recipe_of(tmp_path, recipe.as_written()) == recipe
    assert recipe_of(tmp_path, recipe) is recipe


def test_a_text_that_is_no_recipe_and_a_task_that_is_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"sed is not a key of the recipe\. Nearest: seed"):
        recipe_of(tmp_path, as_text(load_recipe("digits")).replace("seed: ", "sed: "))
    with pytest.raises(ParameterTypeError, match="refresh"):
        retrain.validate_parameters({"recipe": load_recipe("digits"), "home": "x", "refresh": ["stage_too"]})


def test_a_change_means_what_it_means_on_the_command_line(tmp_path: Path) -> None:
    changes = ("seed=7", "stage_two.epochs=3", "augment.0.factor=0.05")
    assert change_recipe(load_recipe("digits"), changes) == load_recipe("digits", changes)
    moved = change_recipe(load_recipe("cats_dogs"), ["dataset.seed=3"], tmp_path)
    assert moved == load_recipe("cats_dogs", ("dataset.seed=3",), data=tmp_path)
    recipe = small_recipe(tmp_path)
    assert change_recipe(recipe, ()) is recipe


@pytest.mark.parametrize(
    ("changes", "data", "message"),
    [
        (["sed=1"], None, "sed is not a key of the recipe. Nearest: seed."),
        (["seed"], None, "--set takes KEY=VALUE"),
        (["dataset.source.path=photos"], None, "dataset.source.path: 'photos' must be an absolute path here"),
        ([], Path("photos"), "dataset.source.path: 'photos' must be an absolute path here"),
    ],
)
def test_a_wrong_change_is_one_line(tmp_path: Path, changes: list[str], data: Path | None, message: str) -> None:
    with pytest.raises(RecipeError) as error:
        change_recipe(small_recipe(tmp_path), changes, data)
    assert str(error.value).startswith(message)
    assert len(str(error.value).splitlines()) == 1
