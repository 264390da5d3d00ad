"""The base of every model in the recipe: unknown keys are errors that name the nearest valid key."""

import difflib
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError


class Strict(BaseModel):
    """An immutable model that takes exactly its own keys and exactly its own types."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        validate_default=True,
        populate_by_name=True,
        allow_inf_nan=False,  # they have no place in JSON, and so none in a cache key
    )

    @model_validator(mode="before")
    @classmethod
    def _reject_unknown_keys(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        # Fields first: the nearest valid name is looked for among what a recipe may write, which is the alias if any.
        allowed = [field.alias or name for name, field in cls.model_fields.items()]
        names = {*allowed, *cls.model_fields}
        for key in data:
            if key not in names:
                raise PydanticCustomError(
                    "unknown_key",
                    "{key}",
                    {"key": str(key), "hint": nearest_hint(str(key), allowed), "allowed": ", ".join(sorted(allowed))},
                )
        return data


def nearest(word: str, choices: Iterable[str]) -> str:
    """Find the choice that is most like a word, or an empty string where none is similar."""
    lowered = {choice.lower(): choice for choice in choices}
    matches = difflib.get_close_matches(word.lower(), lowered, n=1, cutoff=0.5)
    return lowered[matches[0]] if matches else ""


def nearest_hint(word: str, choices: Iterable[str]) -> str:
    """Write the nearest choice as a sentence to put behind another one, or nothing where none is similar."""
    choice = nearest(word, choices)
    return f" Nearest: {choice}." if choice else ""
