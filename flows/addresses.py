"""Where a served recipe's images are, for its runs, if the address holds a secret.

Prefect's server keeps a deployment's parameters, and shows them: there the recipe stands without. A run gets the rest
by its environment: from `thaw serve`, whose process it is; and where a worker starts it, from whoever set that up.
"""

import json
import os
from typing import Any

from thaw.pipeline_config.loading import parse_recipe
from thaw.pipeline_config.messages import without_secrets
from thaw.pipeline_config.schema import Recipe

VARIABLE = "THAW_SOURCES"  # a JSON document: by recipe, its `dataset.source`


def keep_for_runs(recipe: Recipe) -> None:
    """Put a recipe's source into the environment, if an address in it holds more than may be shown."""
    if holds_secrets(recipe):
        os.environ[VARIABLE] = json.dumps(_kept() | {recipe.name: recipe.as_written()["dataset"]["source"]})


def holds_secrets(recipe: Recipe) -> bool:
    """Say whether an address of the images holds more than may be shown."""
    source = recipe.as_written()["dataset"]["source"]
    return bool(without_secrets(source) != source)


def with_whole_addresses(recipe: Recipe) -> Recipe:
    """Put back into a recipe the source that was kept for it; any other source stays as it is."""
    document, source = recipe.as_written(), _kept().get(recipe.name)
    if source is None or without_secrets(source) != document["dataset"]["source"]:
        return recipe
    document["dataset"]["source"] = source
    return parse_recipe(document)


def _kept() -> dict[str, Any]:
    return dict(json.loads(os.environ.get(VARIABLE, "{}")))
