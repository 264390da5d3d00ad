"""Why a key is not there: what changed since the most similar key that was built, in words."""

from collections.abc import Iterable
from typing import Any

_NOTHING = object()


def explain(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Compare the documents of two keys of one kind.

    Args:
        old: A key document that led to an artifact.
        new: The key document that is asked for.

    Returns:
        One line for each difference: a recipe's key with both values, a source file that changed, a library with both
        versions, or an input that is another one. Empty for equal documents.
    """
    return [
        *_explain_settings(old.get("depends_on", {}), new.get("depends_on", {})),
        *(f"{_file_name(name)} {_verb(before, after)}" for name, before, after in _part(old, new, "sources")),
        *(f"{name} {_word(before)} → {_word(after)}" for name, before, after in _part(old, new, "libraries")),
    ]


def most_similar(candidates: Iterable[dict[str, Any]], wanted: dict[str, Any]) -> dict[str, Any] | None:
    """Find the document that differs least, so that the explanation is the shortest. No clock decides.

    Args:
        candidates: Key documents.
        wanted: The key document that is asked for.

    Returns:
        One of the candidates; None where there are none. Of equals, the one whose explanation is first in the alphabet.
    """
    return min(candidates, key=lambda candidate: (len(lines := explain(candidate, wanted)), lines), default=None)


def _explain_settings(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    before, after = dict(_leaves(old)), dict(_leaves(new))
    lines: list[str] = []
    stage = new.get("name")
    for path in sorted(before.keys() | after.keys()):
        one, other = before.get(path, _NOTHING), after.get(path, _NOTHING)
        if one == other:
            continue
        head, *rest = path.split(".")
        if rest == ["digest"]:
            lines.append(f"its input, the {head.replace('_', ' ')}, is another one")
        elif path == "content":
            lines.append("the images changed")
        elif path == "weights_sha256":
            lines.append("the weights file changed")
        elif path == "written":
            lines.append("the recipe is written in another way")
        elif path == "features_key":
            lines.append("its features are others")
        elif rest != ["kind"]:
            lines.append(f"{_recipe_key(path, stage)} {_word(one)} → {_word(other)}")
    return lines


def _recipe_key(path: str, stage: str | None) -> str:
    # A stage's request holds its settings under `stage`, a release's the whole recipe under `recipe`, and
    # that for features what it takes from each stage under `taps`.
    if stage and path.startswith("stage."):
        return f"{stage}{path.removeprefix('stage')}"
    return path.removeprefix("recipe.").removeprefix("taps.")


def _part(old: dict[str, Any], new: dict[str, Any], part: str) -> list[tuple[str, Any, Any]]:
    before, after = old.get(part, {}), new.get(part, {})
    names = sorted(before.keys() | after.keys())
    pairs = ((name, before.get(name, _NOTHING), after.get(name, _NOTHING)) for name in names)
    return [(name, one, other) for name, one, other in pairs if one != other]


def _leaves(document: Any, path: str = "") -> Iterable[tuple[str, Any]]:
    items: Iterable[tuple[str, Any]]
    if isinstance(document, dict):
        items = document.items()
    elif isinstance(document, list):
        items = ((str(index), value) for index, value in enumerate(document))
    else:
        yield path, document
        return
    for key, value in items:
        yield from _leaves(value, f"{path}.{key}" if path else str(key))


def _file_name(module: str) -> str:
    return module if "/" in module else f"{module.removeprefix('thaw.').replace('.', '/')}.py"


def _verb(before: Any, after: Any) -> str:
    if before is _NOTHING:
        return "is new"
    return "is gone" if after is _NOTHING else "changed"


def _word(value: Any) -> str:
    return "nothing" if value is _NOTHING or value is None else str(value)
