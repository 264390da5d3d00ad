"""The parameters of the flow `retrain`, as Prefect's server keeps them and its form shows them."""

from typing import Annotated, Any

from prefect.utilities.callables import ParameterSchema, parameter_schema
from pydantic import BeforeValidator, WithJsonSchema

from thaw.pipeline_config.loading import parse_recipe
from thaw.pipeline_config.messages import without_secrets
from thaw.pipeline_config.schema import Recipe
from thaw.pipeline_config.yaml_dialect import read_yaml, write_yaml

_HIDDEN = "home"  # which stays what `thaw serve` says


def as_text(recipe: Recipe) -> str:
    """Write a recipe as the parameter of a deployment: what was written of it, in YAML, without secrets."""
    return write_yaml(without_secrets(recipe.as_written()))


def name_in(value: Any) -> str:
    """Find a recipe's name in the parameter as the server has it, also where the recipe is wrong."""
    return str(_document(value)["name"])


def _read(value: Any) -> Recipe:
    return value if isinstance(value, Recipe) else parse_recipe(_document(value))


def _document(value: Any) -> Any:
    return read_yaml(value) if isinstance(value, str) else value  # a document: of an earlier thaw, or of `thaw run`


RecipeParameter = Annotated[Recipe, BeforeValidator(_read), WithJsonSchema({"type": "string"})]
Folder = WithJsonSchema({"type": "string"})  # one field of the form, and not a choice of a path or none


def form(flow: Any, recipe: str) -> ParameterSchema:
    """Describe the form for a run of a deployment: what may be changed, and then the recipe, which is shown alone.

    Prefect's server refuses another value for what is a constant, and its old UI does not let one type it.
    """
    schema = parameter_schema(flow)
    schema.properties.pop(_HIDDEN)
    schema.properties["data"].pop("default")  # null, which is no text
    schema.properties["recipe"]["const"] = recipe
    schema.required.clear()
    return schema
