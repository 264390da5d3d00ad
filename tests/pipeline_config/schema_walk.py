"""The recipe's schema as pydantic has it in the end, part by part."""

from collections.abc import Iterator
from typing import Any

from thaw.pipeline_config.schema import Recipe

Part = dict[str, Any]

WHOLE: Any = Recipe.__pydantic_core_schema__
SHARED = {part["ref"]: part for part in WHOLE.get("definitions", [])}


def parts(schema: Part, path: str = "recipe", config: Part | None = None) -> Iterator[tuple[str, Part]]:
    """Go through a schema: each number, string, collection and choice in it, with the keys that lead there."""
    config = schema.get("config", config or {})
    match schema["type"]:
        case "model-fields":
            for name, field in schema["fields"].items():
                yield from parts(field["schema"], f"{path}.{name}", config)
        case "union" | "tagged-union":
            choices = schema["choices"]
            for choice in choices.values() if isinstance(choices, dict) else choices:
                yield from parts(choice[0] if isinstance(choice, tuple) else choice, path, config)
        case "list" | "tuple" | "dict":
            yield path, schema
            inside = schema.get("items_schema") or [schema["keys_schema"], schema["values_schema"]]
            for item in inside if isinstance(inside, list) else [inside]:
                yield from parts(item, f"{path}[]", config)
        case "str":
            yield path, {**schema, "max_length": schema.get("max_length", config.get("str_max_length"))}
        case "int" | "float" | "bool" | "literal":
            yield path, schema
        case "definition-ref":
            yield from parts(SHARED[schema["schema_ref"]], path, config)
        case _:  # a default, a validator, null or a value: what is in it counts
            yield from parts(schema["schema"], path, config)


RECIPE_PARTS = list(parts(WHOLE))
