"""The recipe as a release states it: every default filled in, and nothing of the machine that ran it. No TensorFlow."""

from typing import Any

from thaw.pipeline_config.schema import Recipe
from thaw.pipeline_config.yaml_dialect import write_yaml

# What stands in the place of a path, so that the recipe can still be read, and be run with --weights.
WEIGHTS_PLACEHOLDER = "backbone.weights.h5"


def portable_recipe(recipe: Recipe) -> dict[str, Any]:
    """Leave out of a recipe what has no influence on its result: when and how it is run, and where files are.

    What is left is a valid recipe.
    """
    document = recipe.model_dump(mode="json", by_alias=True, exclude={"schedule", "execution"})
    document["dataset"]["source"] |= recipe.dataset.source.of_this_machine()
    if recipe.model.weights not in (None, "imagenet"):
        document["model"]["weights"] = WEIGHTS_PLACEHOLDER
    return document


def recipe_yaml(recipe: Recipe) -> str:
    """Write a recipe as a file that `thaw run` takes, opened by a comment that says how."""
    document = portable_recipe(recipe)
    options = " --data DIR" if recipe.dataset.source.of_this_machine() else ""
    options += " --weights FILE" if document["model"]["weights"] == WEIGHTS_PLACEHOLDER else ""
    comment = f"# The recipe that made this release, with every default filled in.   thaw run recipe.yaml{options}\n"
    return comment + write_yaml(document)
