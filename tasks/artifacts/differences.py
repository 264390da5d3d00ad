"""Why a key is not there: what changed since the most similar key that was built, in words."""

from collections.abc import Iterable, Iterator
from typing import Any

_LISTED_FILES = 5
_NOTHING = object()
_PARTS = ("depends_on", "sources", "libraries")
_SETTINGS_WITH_WORDS = {
    "content": "the images changed",
    "columns_content": "what the table says in these columns changed",
    "weights_sha256": "the weights file changed",
    "written": "the recipe is written in another way",
    "features_key": "its features are others",
    "champion": "it starts from another release's weights",
}


def explain(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Compare the documents of two keys of one kind: one that led to an artifact, and the one that is asked for.

    The result has one line for each difference: a recipe's key with both values, a source file that changed, a library
    with both versions, or an input that is another one. Where much of the code is another, one line says how much.
    """
    settings, sources, libraries = ((old.get(part, {}), new.get(part, {})) for part in _PARTS)
    code = [f"{_file_name(name)} {_verb(before, after)}" for name, before, after in _changes(*sources)]
    return [
        *_explain_settings(*settings),
        *(code if len(code) <= _LISTED_FILES else [f"thaw's code changed, in {len(code)} files"]),
        *(f"{name} {_word(before)} → {_word(after)}" for name, before, after in _changes(*libraries)),
    ]


def most_similar(candidates: Iterable[dict[str, Any]], wanted: dict[str, Any]) -> dict[str, Any] | None:
    """Find the key document that differs least, so that the explanation is the shortest; None where there are none.

    No clock decides: of equals, it is the one whose explanation is first in the alphabet.
    """
    return min(candidates, key=lambda candidate: (len(lines := explain(candidate, wanted)), lines), default=None)


def _explain_settings(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    for path, before, after in _changes(dict(_leaves(old)), dict(_leaves(new))):
        head, *rest = path.split(".")
        if rest == ["digest"]:
            yield f"its input, the {head.replace('_', ' ')}, is another one"
        elif path in _SETTINGS_WITH_WORDS:
            yield _SETTINGS_WITH_WORDS[path]
        elif rest != ["kind"]:
            yield f"{_recipe_key(path, new.get('name'))} {_word(before)} → {_word(after)}"


def _recipe_key(path: str, stage: str | None) -> str:
    # A stage's request holds its settings under `stage`, and a release's the whole recipe under `recipe`.
    if stage and path.startswith("stage."):
        return f"{stage}{path.removeprefix('stage')}"
    return path.removeprefix("recipe.")


def _changes(old: dict[str, Any], new: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name, _NOTHING), new.get(name, _NOTHING)
        if before != after:
            yield name, before, after


def _leaves(document: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(document, list):
        document = dict(enumerate(document))
    if not isinstance(document, dict):
        yield path, document
        return
    for key, value in document.items():
        yield from _leaves(value, f"{path}.{key}" if path else str(key))


def _file_name(module: str) -> str:
    return module if "/" in module else f"{module.removeprefix('thaw.').replace('.', '/')}.py"


def _verb(before: Any, after: Any) -> str:
    if before is _NOTHING:
        return "is new"
    return "is gone" if after is _NOTHING else "changed"


def _word(value: Any) -> str:
    return "nothing" if value is _NOTHING or value is None else str(value)
