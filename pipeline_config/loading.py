"""From the name or the file of a recipe, and overrides, to a validated `Recipe`."""

import json
import re
from collections.abc import Sequence
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from thaw.pipeline_config.errors import RecipeError
from thaw.pipeline_config.messages import LONGEST_MESSAGE, received, word
from thaw.pipeline_config.schema import Recipe
from thaw.pipeline_config.strict import nearest_hint
from thaw.pipeline_config.yaml_dialect import LONGEST_TEXT, read_yaml

# Parts of a pydantic error's location that name a member of a union, not a key of the recipe.
_UNION_MEMBER = re.compile(r"^((constrained-)?(str|int|float)|bool|\w+_form|literal\[.*|dict\[.*|\[key\])$")
_QUOTED = re.compile(r"'([^']+)'")
_MOST_SENTENCES = 20
_MOST_BYTES = 4 * LONGEST_TEXT  # of UTF-8


def shipped_recipes() -> dict[str, Traversable]:
    """List the files of the recipes that ship with thaw, by recipe name, in alphabetical order."""
    folder = resources.files("thaw.pipeline_config") / "recipes"
    files = {entry.name.removesuffix(".yaml"): entry for entry in folder.iterdir() if entry.name.endswith(".yaml")}
    return dict(sorted(files.items()))


def recipe_summary(name: str) -> str:
    """Read the first line of a shipped recipe's opening comment, without its comment sign."""
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
            Or weights are given, and it trains from random ones.
    """
    return load_recipes([recipe], overrides, data=data, weights=weights)[0]


def load_recipes(
    recipes: Sequence[str], overrides: tuple[str, ...] = (), *, data: Path | None = None, weights: Path | None = None
) -> list[Recipe]:
    """Load several recipes in the same way. Weights go to those that have a use for them.

    Raises:
        RecipeError: As for one; and if weights are given, and all train from random ones.
    """
    documents = [_read(recipe) for recipe in recipes]
    takers = 0
    for document, _ in documents:
        _change(document, overrides, None if data is None else data.absolute())
        takers += weights is not None and _give(_section(document, "model"), str(weights.absolute()))
    loaded = [_absolute_paths(parse_recipe(document), folder) for document, folder in documents]
    if weights is not None and not takers:
        names = ", ".join(recipe.name for recipe in loaded)
        raise RecipeError(
            f"--weights has no use for {word(names)}, which starts from random weights, as model.weights is null. "
            "Leave it out, or set model.weights to the file."
        )
    return loaded


def change_recipe(recipe: Recipe, overrides: Sequence[str], data: Path | None = None) -> Recipe:
    """Change a recipe that is loaded, in the same way. Paths must be absolute: the folder of its file is not known.

    Raises:
        RecipeError: As for `load_recipe`; or a path is relative.
    """
    if not overrides and data is None:
        return recipe
    document = recipe.as_written()
    _change(document, overrides, data)
    return _absolute_paths(parse_recipe(document), None)


def parse_recipe(document: Any) -> Recipe:
    """Validate what a YAML or JSON reader made of a recipe, and fill in every default.

    Raises:
        RecipeError: A key or a value is wrong.
    """
    try:
        # Through JSON, so that a recipe means the same whether it was read from YAML or from JSON.
        text = json.dumps(document, default=str)
    except (TypeError, ValueError, RecursionError) as error:  # keys that are no strings, a list that holds itself
        raise RecipeError(f"The recipe cannot be written as JSON, as it must: {error}.") from error
    try:
        return Recipe.model_validate_json(text)
    except ValidationError as error:
        raise RecipeError(_sentences(error.errors())) from error


def _read(recipe: str) -> tuple[dict[str, Any], Path]:
    shipped = shipped_recipes()
    file: Traversable | Path
    if recipe in shipped:
        file, folder = shipped[recipe], Path.cwd()
    elif Path(recipe).suffix in (".yaml", ".yml"):
        file, folder = Path(recipe), Path(recipe).absolute().parent
    else:
        raise RecipeError(
            f"There is no recipe {received(recipe)}. Expected one of {', '.join(shipped)}, or the path of a YAML file."
            + nearest_hint(recipe, shipped)
        )
    name = word(recipe)
    try:
        if isinstance(file, Path) and file.exists() and not file.is_file():
            raise OSError("it is no file")  # of a pipe or a device there may be no end
        with file.open("rb") as stream:
            text = stream.read(_MOST_BYTES + 1).decode("utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise RecipeError(f"Recipe {name} cannot be read: {reason}.") from error
    try:
        document = read_yaml(text)
    except ValueError as error:
        raise RecipeError(f"Recipe {name} is not valid YAML: {error}.") from error
    if not isinstance(document, dict):
        raise RecipeError(f"Recipe {name} must be a mapping of keys to values. Received: {type(document).__name__}.")
    return document, folder


def _change(document: dict[str, Any], overrides: Sequence[str], data: Path | None) -> None:
    for override in overrides:
        _override(document, override)
    if data is not None:
        _section(document, "dataset")["source"] = {"kind": "directory", "path": str(data)}


def _override(document: dict[str, Any], override: str) -> None:
    path, equals, text = override.partition("=")
    if not equals or not path or "://" in path:  # an address, of which the first = belongs to a secret
        raise RecipeError(f"--set takes KEY=VALUE, such as stage_two.epochs=3. Received: {received(override)}.")
    try:
        value = read_yaml(text)
    except ValueError as error:
        raise RecipeError(f"--set {word(path)}: the value {received(text)} is not valid YAML: {error}.") from error
    *parents, last = path.split(".")
    place: Any = document
    for parent in parents:
        key = _key_in(place, parent, path)
        if isinstance(place, dict) and (place.get(key) is None or isinstance(place[key], str)):
            # A part that the recipe leaves out, or states in short form, is begun here; validation sees to the rest.
            place[key] = {}
        place = place[key]
    place[_key_in(place, last, path)] = value


def _give(model: dict[str, Any], weights: str) -> bool:
    """Put a file in the place of a recipe's first weights, unless those are random."""
    match model.get("weights"):
        case None | {"champion": {"otherwise": None}}:
            return False
        case "champion":
            model["weights"] = {"champion": {"otherwise": weights}}
        case {"champion": dict(champion)}:
            champion["otherwise"] = weights
        case _:
            model["weights"] = weights
    return True


def _key_in(place: Any, key: str, path: str) -> str | int:
    if isinstance(place, dict):
        return key
    if not isinstance(place, list) or not place:
        why = "the list is empty. Set the whole list" if place == [] else "the key before it holds a single value"
        raise RecipeError(f"--set {word(path)}: there is no place for {received(key)}, because {why}.")
    if not key.isdecimal() or len(key) > len(str(len(place))) or int(key) >= len(place):
        raise RecipeError(f"--set {word(path)}: {received(key)} must be an index from 0 to {len(place) - 1}.")
    return int(key)


def _section(document: dict[str, Any], name: str) -> dict[str, Any]:
    section = document.setdefault(name, {})
    if not isinstance(section, dict):
        raise RecipeError(f"{name} must be a mapping of keys to values. Received: {received(section)}.")
    return section


def _absolute_paths(recipe: Recipe, folder: Path | None) -> Recipe:
    source, model = recipe.dataset.source, recipe.model
    places = {
        field: _absolute_places(places, folder, f"dataset.source.{field}")
        for field in ("path", "data_dir")
        if (places := getattr(source, field, None)) is not None
    }
    source = source.model_copy(update=places)
    if (first := model.first_weights) not in (None, "imagenet"):
        model = model.starting_from(_absolute(str(first), folder, "model.weights"))
    publish = recipe.publish
    if isinstance(publish.must_not_break, str):
        kept = _absolute(publish.must_not_break, folder, "publish.must_not_break")
        publish = publish.model_copy(update={"must_not_break": kept})
    dataset = recipe.dataset.model_copy(update={"source": source})
    return recipe.model_copy(update={"dataset": dataset, "model": model, "publish": publish})


def _absolute_places(places: Any, folder: Path | None, key: str) -> Any:
    if isinstance(places, dict):
        return {name: _absolute_places(place, folder, f"{key}.{name}") for name, place in places.items()}
    if isinstance(places, list):
        return [_absolute_places(place, folder, f"{key}.{number}") for number, place in enumerate(places)]
    return places if "://" in places else _absolute(places, folder, key)


def _absolute(path: str, folder: Path | None, key: str) -> str:
    try:
        place = Path(path).expanduser()
        if folder is None and not place.is_absolute():
            raise RecipeError(f"{key}: {received(path)} must be an absolute path here, such as /data/photos.")
        return str(place if folder is None else folder / place)
    except RuntimeError as error:  # ~name, of a user that this machine does not know
        message = f"{key}: {received(path)} names no home folder of this machine. Write the path in full."
        raise RecipeError(message) from error


def _sentences(errors: list[ErrorDetails]) -> str:
    # Each member of a union complains on its own about the one value that suits none of them.
    by_path: dict[str, list[ErrorDetails]] = {}
    for error in errors[:_MOST_SENTENCES]:
        by_path.setdefault(_path(error), []).append(error)
    sentences: list[str] = []
    for path, (first, *others) in by_path.items():
        if any(other.startswith(f"{path}.") for other in by_path):
            continue  # the complaint from deeper inside says more
        also = "".join(f" or {other['msg'].removeprefix('Input should be ')}" for other in others)
        sentences.append(_sentence(ErrorDetails(**{**first, "msg": first["msg"] + also})))
        if len(" ".join(sentences)) > LONGEST_MESSAGE and len(sentences) > 1:
            return f"{' '.join(sentences[:-1])} There are more mistakes."
    return " ".join(sentences)


def _path(error: ErrorDetails) -> str:
    return ".".join(word(str(part)) for part in error["loc"] if not _is_union_tag(error, part))


def _sentence(error: ErrorDetails) -> str:
    path = _path(error)
    context = error.get("ctx", {})
    if error["type"] == "unknown_key":
        key = f"{path}.{context['key']}" if path else context["key"]
        return f"{key} is not a key of the recipe.{context['hint']} Allowed here: {context['allowed']}."
    if error["type"] == "missing":
        return f"{path} is missing. Add it."
    if error["type"] in ("union_tag_invalid", "union_tag_not_found"):
        return _wrong_tag(path, context, error["input"])
    expected = str(context["error"]) if error["type"] == "value_error" else error["msg"]
    says_it = "Received" in expected or isinstance(error["input"], dict) or error["type"] == "json_invalid"
    came = "" if says_it else f" Received: {received(error['input'])}."
    if error["type"] == "literal_error" and isinstance(error["input"], str):
        came += nearest_hint(error["input"], _QUOTED.findall(context["expected"]))
    return f"{path or 'The recipe'}: {expected.rstrip('.')}.{came}"


def _wrong_tag(path: str, context: dict[str, Any], value: Any) -> str:
    key = str(context["discriminator"]).strip("'")
    if "tag" not in context:
        return f"{path}.{key} is missing. Received: {received(value)}."
    choices = _QUOTED.findall(context["expected_tags"])
    hint = nearest_hint(str(context["tag"]), choices)
    return f"{path}.{key} must be one of {', '.join(choices)}. Received: {received(context['tag'])}.{hint}"


def _is_union_tag(error: ErrorDetails, part: int | str) -> bool:
    if isinstance(part, int):
        return False
    # A discriminated union adds its tag to the location, right after the key that holds the union.
    position = error["loc"].index(part)
    before = error["loc"][position - 1] if position else None
    return (
        bool(_UNION_MEMBER.match(part))
        or before in ("source", "optimizer")
        or (isinstance(before, int) and error["loc"][position - 2 : position - 1] == ("augment",))
    )
