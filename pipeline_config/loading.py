"""From the name or the file of a recipe, and overrides, to a validated `Recipe`."""

import json
import re
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Never

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from pipeline_config.errors import RecipeError
from pipeline_config.schema import Recipe
from pipeline_config.strict import nearest

# Parts of a pydantic error's location that name a member of a union, not a key of the recipe.
_UNION_MEMBER = re.compile(r"^(str|int|float|bool|\w+_form|literal\[.*|dict\[.*)$")


class _Loader(yaml.SafeLoader):
    """YAML with numbers as in YAML 1.2, where 1e-4 is a number, and with repeated keys refused."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise RecipeError(f"Key {key!r} stands twice in one place, at line {node.start_mark.line + 1}. Keep one.")
        return super().construct_mapping(node, deep=deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def shipped_recipes() -> dict[str, Traversable]:
    """List the recipes that ship with thaw.

    Returns:
        The files by recipe name, in alphabetical order.
    """
    folder = resources.files("pipeline_config") / "recipes"
    files = {entry.name.removesuffix(".yaml"): entry for entry in folder.iterdir() if entry.name.endswith(".yaml")}
    return dict(sorted(files.items()))


def recipe_summary(name: str) -> str:
    """Read the first line of a shipped recipe's opening comment.

    Args:
        name: A name from `shipped_recipes`.

    Returns:
        The line without its comment sign.
    """
    first = shipped_recipes()[name].read_text(encoding="utf-8").splitlines()[0]
    return first.lstrip("# ").rstrip()


def load_recipe(
    recipe: str, overrides: tuple[str, ...] = (), *, data: Path | None = None, weights: Path | None = None
) -> Recipe:
    """Read a recipe, apply what the command line changes in it, and validate the whole.

    Args:
        recipe: The name of a shipped recipe, or the path of a YAML file.
        overrides: Strings of the form KEY=VALUE, where KEY is a dotted path such as "stage_two.epochs" (list items by
            index) and VALUE is YAML.
        data: A folder of images that takes the place of the recipe's source.
        weights: A Keras weights file that takes the place of the recipe's weights.

    Returns:
        The recipe with every default filled in. Paths in it are absolute.

    Raises:
        RecipeError: The recipe, an override or a value is wrong; the message names the key and the nearest valid one.
    """
    document, folder = _read(recipe)
    for override in overrides:
        _override(document, override)
    if data is not None:
        _section(document, "dataset")["source"] = {"kind": "directory", "path": str(data.absolute())}
    if weights is not None:
        _section(document, "model")["weights"] = str(weights.absolute())
    return _absolute_paths(parse_recipe(document), folder)


def parse_recipe(document: Any) -> Recipe:
    """Validate a recipe that has been read already.

    Args:
        document: What a YAML or JSON reader made of a recipe.

    Returns:
        The recipe with every default filled in.

    Raises:
        RecipeError: A key or a value is wrong.
    """
    try:
        # Through JSON, because pydantic's strict mode takes a list for a tuple only there.
        return Recipe.model_validate_json(json.dumps(document, default=str))
    except ValidationError as error:
        raise RecipeError(" ".join(_sentence(item) for item in error.errors())) from error


def _read(recipe: str) -> tuple[dict[str, Any], Path]:
    shipped = shipped_recipes()
    file: Traversable | Path
    if recipe in shipped:
        file, folder = shipped[recipe], Path.cwd()
    elif Path(recipe).suffix in (".yaml", ".yml"):
        file, folder = Path(recipe), Path(recipe).absolute().parent
    else:
        hint = nearest(recipe, list(shipped))
        raise RecipeError(
            f"There is no recipe {recipe!r}. Expected one of {', '.join(shipped)}, or the path of a YAML file."
            + (f" Nearest: {hint}." if hint else "")
        )
    try:
        document = yaml.load(file.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 (a SafeLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"Recipe {recipe} cannot be read: {error}.") from error
    except yaml.YAMLError as error:
        raise RecipeError(f"Recipe {recipe} is not valid YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(document, dict):
        raise RecipeError(f"Recipe {recipe} must be a mapping of keys to values. Received: {type(document).__name__}.")
    return document, folder


def _override(document: dict[str, Any], override: str) -> None:
    path, equals, text = override.partition("=")
    if not equals or not path:
        raise RecipeError(f"--set takes KEY=VALUE, such as stage_two.epochs=3. Received: {override!r}.")
    try:
        value = yaml.load(text, Loader=_Loader)  # noqa: S506 (a SafeLoader)
    except yaml.YAMLError as error:
        raise RecipeError(f"--set {path}: the value {text!r} is not valid YAML.") from error
    *parents, last = path.split(".")
    place: Any = document
    for parent in parents:
        place = _step_into(place, parent, path)
    if isinstance(place, list):
        place[_index(place, last, path)] = value
    elif isinstance(place, dict):
        place[last] = value
    else:
        _no_such_place(path, last)


def _step_into(place: Any, key: str, path: str) -> Any:
    if isinstance(place, list):
        return place[_index(place, key, path)]
    if not isinstance(place, dict):
        _no_such_place(path, key)
    if place.get(key) is None or isinstance(place[key], str):
        # A part that the recipe leaves out, or states in short form, is begun here; validation sees to the rest.
        place[key] = {}
    return place[key]


def _index(place: list[Any], key: str, path: str) -> int:
    if not key.isdigit() or int(key) >= len(place):
        raise RecipeError(f"--set {path}: {key!r} must be an index from 0 to {len(place) - 1}.")
    return int(key)


def _no_such_place(path: str, key: str) -> Never:
    raise RecipeError(f"--set {path}: there is no place for {key!r}, because the key before it holds a single value.")


def _section(document: dict[str, Any], name: str) -> dict[str, Any]:
    section = document.setdefault(name, {})
    if not isinstance(section, dict):
        raise RecipeError(f"{name} must be a mapping of keys to values. Received: {section!r}.")
    return section


def _absolute_paths(recipe: Recipe, folder: Path) -> Recipe:
    source, model = recipe.dataset.source, recipe.model
    if source.kind == "directory":
        source = source.model_copy(update={"path": str(folder / Path(source.path).expanduser())})
    if model.weights not in (None, "imagenet"):
        model = model.model_copy(update={"weights": str(folder / Path(str(model.weights)).expanduser())})
    return recipe.model_copy(update={"dataset": recipe.dataset.model_copy(update={"source": source}), "model": model})


def _sentence(error: ErrorDetails) -> str:
    path = ".".join(str(part) for part in error["loc"] if not _is_union_tag(error, part))
    context = error.get("ctx", {})
    if error["type"] == "unknown_key":
        key = f"{path}.{context['key']}" if path else context["key"]
        hint = f" Nearest: {context['nearest']}." if context["nearest"] else ""
        return f"{key} is not a key of the recipe.{hint} Allowed here: {context['allowed']}."
    if error["type"] == "missing":
        return f"{path} is missing. Add it."
    if error["type"] in ("union_tag_invalid", "union_tag_not_found"):
        return _wrong_tag(path, context, error["input"])
    expected = str(context["error"]) if error["type"] == "value_error" else error["msg"]
    received = "" if "Received" in expected or isinstance(error["input"], dict) else f" Received: {error['input']!r}."
    if error["type"] == "literal_error" and isinstance(error["input"], str):
        choices = re.findall(r"'([^']+)'", str(context["expected"]))
        hint = nearest(error["input"], choices)
        received += f" Nearest: {hint}." if hint else ""
    return f"{path or 'The recipe'}: {expected.rstrip('.')}.{received}"


def _wrong_tag(path: str, context: dict[str, Any], received: Any) -> str:
    key = str(context["discriminator"]).strip("'")
    if "tag" not in context:
        return f"{path}.{key} is missing. Received: {received!r}."
    choices = re.findall(r"'([^']+)'", str(context["expected_tags"]))
    hint = nearest(str(context["tag"]), choices)
    return (
        f"{path}.{key} must be one of {', '.join(choices)}. Received: {context['tag']!r}."
        + (f" Nearest: {hint}." if hint else "")
    )


def _is_union_tag(error: ErrorDetails, part: int | str) -> bool:
    if isinstance(part, int):
        return False
    # A discriminated union adds its tag to the location, right after the key that holds the union.
    position = error["loc"].index(part)
    before = error["loc"][position - 1] if position else None
    return bool(_UNION_MEMBER.match(part)) or before in ("source", "optimizer") or (
        isinstance(before, int) and error["loc"][position - 2 : position - 1] == ("augment",)
    )
