"""The base of every model in the recipe: unknown keys are errors that name the nearest valid key."""

import difflib
from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from thaw.pipeline_config import messages

_LONGEST_STRING = 4096  # characters: the longest path that Linux has
# What several keys have in common. ImageNet's largest edition has 21,841 classes, and large runs 32,768 images a step.
MOST_CLASSES = 100_000
MOST_EPOCHS = 100_000
MOST_IMAGES_A_STEP = 65_536
_LONGEST_NAME = 100  # characters of a word for which a similar one is looked for


def _check_path(path: str) -> str:
    if "\0" in path:
        raise ValueError("must hold no NUL character")
    return path


def _check_local(path: str) -> str:
    if messages.is_address(path):
        raise ValueError("must be a path of this machine: an address is not fetched here")
    return path


PathOrAddress = Annotated[str, Field(min_length=1), AfterValidator(_check_path)]
PathText = Annotated[PathOrAddress, AfterValidator(_check_local)]


class Strict(BaseModel):
    """An immutable model that takes exactly its own keys and exactly its own types.

    Every number and every collection in it has bounds, or else a test fails. They are there so that what cannot be done
    is said before anything is done, and lie where nobody comes who means what the key says: what one machine can hold,
    or finish within a life.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        validate_default=True,
        populate_by_name=True,
        str_max_length=_LONGEST_STRING,
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
                    {
                        "key": messages.word(str(key)),
                        "hint": nearest_hint(str(key), allowed),
                        "allowed": ", ".join(sorted(allowed)),
                    },
                )
        return data


def nearest(word: str, choices: Iterable[str]) -> str:
    """Find the choice that is most like a word, or an empty string where none is similar."""
    if len(word) > _LONGEST_NAME:
        return ""
    lowered = {choice.lower(): choice for choice in choices}
    matches = difflib.get_close_matches(word.lower(), lowered, n=1, cutoff=0.5)
    return lowered[matches[0]] if matches else ""


def nearest_hint(word: str, choices: Iterable[str]) -> str:
    """Write the nearest choice as a sentence to put behind another one, or nothing where none is similar."""
    choice = nearest(word, choices)
    return f" Nearest: {choice}." if choice else ""
