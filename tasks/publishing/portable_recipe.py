"""The recipe as a release states it: as it was written, and with every default filled in. No TensorFlow."""

from typing import Any

from thaw.pipeline_config.dataset_schema import SourceConfig
from thaw.pipeline_config.messages import without_secrets
from thaw.pipeline_config.schema import Recipe
from thaw.pipeline_config.yaml_dialect import write_yaml

# What stands in the place of a path, so that the recipe can still be read, and be run with --weights.
WEIGHTS_PLACEHOLDER = "backbone.weights.h5"
_KEPT_PLACEHOLDER = "must_not_break"


def portable_recipe(recipe: Recipe, *, resolved: bool) -> dict[str, Any]:
    """Leave out of a recipe what has no influence on its result: when and how it is run, where files are, and secrets.

    The result is a valid recipe: with every default filled in, or else as it was written.
    """
    if recipe.model.first_weights not in (None, "imagenet"):
        recipe = recipe.model_copy(update={"model": recipe.model.starting_from(WEIGHTS_PLACEHOLDER)})
    document = recipe.resolved.model_dump(mode="json", by_alias=True) if resolved else recipe.as_written()
    for name in ("checks", "retrain", "schedule", "execution"):
        document.pop(name, None)
    document["dataset"]["source"] |= recipe.dataset.source.of_this_machine()
    if isinstance(recipe.publish.must_not_break, str):
        document["publish"]["must_not_break"] = _KEPT_PLACEHOLDER
    return dict(without_secrets(document))


def recipe_yaml(
    document: dict[str, Any], name: str, words: str, source: SourceConfig, started_from: str | None = None
) -> str:
    """Write a portable recipe as a file that `thaw run` takes, opened by a comment that says how.

    It also names the release whose weights the training started from, if any.
    """
    # Not --data: it names a folder, and a table's columns, or what is prepared for tfds, would be gone.
    options = "".join(f" --set dataset.source.{field}=PLACE" for field in source.of_this_machine())
    options += "".join(f" --set dataset.source.{field}=ADDRESS" for field in _with_secrets(source))
    weights = document["model"].get("weights")
    first = weights["champion"].get("otherwise") if isinstance(weights, dict) else weights
    options += " --weights FILE" if first == WEIGHTS_PLACEHOLDER else ""
    if document.get("publish", {}).get("must_not_break") == _KEPT_PLACEHOLDER:
        options += " --set publish.must_not_break=FOLDER"
    start = f"# Training started from the weights of {started_from}, the champion then.\n" if started_from else ""
    comment = f"# The recipe that made this release, {words}.   thaw run {name}{options}\n{start}"
    return comment + write_yaml(document)


def _with_secrets(source: SourceConfig) -> list[str]:
    fields = source.model_dump(mode="json")
    return [field for field, value in fields.items() if without_secrets(value) != value]
