"""Every number and every collection that a recipe can hold has bounds, and lies are refused before anything is done."""

import pytest

from tests.pipeline_config.schema_walk import RECIPE_PARTS
from thaw.pipeline_config.errors import RecipeError
from thaw.pipeline_config.loading import load_recipe
from thaw.pipeline_config.schema import Recipe

BOUNDED = [(path, part) for path, part in RECIPE_PARTS if part["type"] not in ("bool", "literal", "tuple")]


def test_the_walk_reaches_into_unions_lists_tuples_and_mappings():
    paths = {path for path, _ in RECIPE_PARTS}
    assert paths >= {
        "recipe.seed",
        "recipe.devices[]",
        "recipe.dataset.source.path[][]",
        "recipe.stage_two.class_weights[]",
        "recipe.stage_two.train.last_blocks",
        "recipe.augment[].aspect_ratio[]",
        "recipe.stage_one.optimizer.rho",
        "recipe.execution.deadline_minutes",
    }
    assert {path.split(".")[1].partition("[")[0] for path in paths} == set(Recipe.model_fields)


@pytest.mark.parametrize(
    ("path", "part"), BOUNDED, ids=lambda value: value if isinstance(value, str) else value["type"]
)
def test_what_a_recipe_holds_has_bounds(path, part):
    if part["type"] in ("int", "float"):
        assert {"ge", "gt"} & part.keys(), f"{path} needs a lower bound"
        assert {"le", "lt"} & part.keys(), f"{path} needs an upper bound"
    else:
        assert part["type"] in ("str", "list", "dict"), f"{path} has a type that nothing bounds"
        assert part.get("max_length"), f"{path} needs a greatest length"


@pytest.mark.parametrize(
    "override",
    [
        "evaluate.batch_size=99999999999999999999",
        "stage_one.batch_size=1000000000",
        "stage_two.resolution=1000000",
        "execution.deadline_minutes=1e308",
        "execution.retry_delay_seconds=1e300",
        "stage_one.optimizer.learning_rate=1e40",
        "stage_one.epochs=1000000000",
        "records.shard_megabytes=1e308",
        "dataset.max_pixels=1000000000000000",
        "seed=0x" + 900 * "f",
        f"stage_one.class_weights={{a: {300 * '9'}}}",
    ],
    ids=lambda text: text[:40],
)
def test_a_number_that_no_machine_can_hold_is_refused_with_its_key_and_its_bound(override):
    with pytest.raises(RecipeError, match=r"less than") as caught:
        load_recipe("digits", (override,))
    key = override.partition("=")[0]
    assert str(caught.value).startswith(key)
    assert "Received: " in str(caught.value)
    assert len(str(caught.value)) < 250
