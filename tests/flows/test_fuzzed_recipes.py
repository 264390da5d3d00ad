"""Whatever a recipe holds, `thaw` takes it or says in one short line what is wrong, and soon.

Documents are made from the schema, texts from the recipes that ship, and overrides from both. They go the way of the
command: read, checked, written out, planned as far as nothing is fetched. The examples are the same in every run.
"""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, find, given, seed, settings
from hypothesis import strategies as st

from tests.pipeline_config.schema_values import JUNK, places, spoilt
from tests.support import write_pictures
from thaw.flows import requests
from thaw.pipeline_config.errors import ThawError
from thaw.pipeline_config.loading import load_recipe, parse_recipe, shipped_recipes
from thaw.pipeline_config.messages import without_secrets
from thaw.pipeline_config.schema import Recipe
from thaw.pipeline_config.yaml_dialect import read_yaml, write_yaml
from thaw.tasks.home import Home
from thaw.tasks.publishing.portable_recipe import portable_recipe, recipe_yaml

SECONDS = 5  # of the processor: those of the wall depend on what else the machine does
QUICK = settings(derandomize=True, database=None, deadline=None, max_examples=400)
FIRST = settings(QUICK, phases=[Phase.generate])
PARTS = 8  # hypothesis remembers each choice that it made: in one go that was 600 MB
THOROUGH = settings(QUICK, max_examples=10_000 // PARTS)
SHIPPED = {name: file.read_text(encoding="utf-8") for name, file in shipped_recipes().items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place for recipes, with the images that some of them name."""
    made: Path = tmp_path_factory.mktemp("fuzz") / "recipes"
    write_pictures(made / "photos", each=2)
    (made / "images.csv").write_text("path,label\nphotos/red/000.png,red\nphotos/blue/000.png,blue\n")
    return made


def answer(folder: Path, content: bytes, overrides: tuple[str, ...] = ()) -> str:
    """Go the command's way with a recipe; the answer is its line, or nothing where the recipe is taken."""
    file = folder / "recipe.yaml"
    file.write_bytes(content)
    started = time.process_time()
    try:
        recipe = load_recipe(str(file), overrides)
        follow(recipe, folder)
        line = ""
    except ThawError as error:
        line = f"thaw: {error}"
    seconds = time.process_time() - started
    assert seconds < SECONDS, line
    assert len(line) < 500
    assert line.isprintable()
    assert "s3cr3t" not in line
    assert "t0ken" not in line  # of an address among other words, which a recipe keeps as it keeps any text
    return line


def follow(recipe: Recipe, folder: Path) -> None:
    """Do with a valid recipe what a run does with it before it reads an image."""
    assert parse_recipe(json.loads(json.dumps(recipe.as_written()))) == recipe
    resolved = recipe.resolved.model_dump(mode="json", by_alias=True)
    assert parse_recipe(read_yaml(write_yaml(resolved))).resolved == recipe.resolved
    for is_resolved in (True, False):
        portable = portable_recipe(recipe, resolved=is_resolved)
        text = recipe_yaml(portable, "recipe.yaml", "as written", recipe.dataset.source)
        assert "s3cr3t" not in text
        parse_recipe(read_yaml(text))
    assert "s3cr3t" not in json.dumps(without_secrets(recipe.as_written()))
    assert recipe.preprocessing_of("stage_two").resolution >= 8
    requests.may_want_features_one(recipe)
    requests.may_want_features_two(recipe)
    if is_near(recipe, folder):
        assert len(requests.ingest(recipe, Home.open(folder / "home")).key) == 64


def is_near(recipe: Recipe, folder: Path) -> bool:
    """Say whether all that a recipe reads is in the folder, so that nothing is fetched and no whole disk is read."""
    paths = getattr(recipe.dataset.source, "path", None) or getattr(recipe.dataset.source, "data_dir", None) or []
    found = [paths] if isinstance(paths, str) else [place for _, place in flattened(paths)]
    return all("://" not in path and Path(os.path.realpath(path)).is_relative_to(folder) for path in found)


def flattened(value: Any) -> list[tuple[Any, str]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value)
    return [pair for key, each in inside for pair in ([(key, each)] if isinstance(each, str) else flattened(each))]


def as_yaml(value: Any) -> str:
    """Write a value as JSON, which is YAML but for three numbers."""
    return json.dumps(value).replace("NaN", ".nan").replace("Infinity", ".inf")


_SIGNS = ["? ", "- ", "{", "}", "[", "]", ",", ": ", "\t", "\x00", "---\n", "...\n", "%YAML 9.9\n", "<<: ", '"', "'"]
_SIGNS += [">-\n", "#", "\\", "\n", " ", "~", "1e999", "-.inf", ".nan", "1_0", "&a ", "*a"]
_TAGS = ["!!float ", "!!bool ", "!!int ", "!!binary ", "!!timestamp ", "!!python/name:os ", "! "]
_LONG = [
    "9" * 5000,
    "0x" + "f" * 5000,
    "[" * 500,
    "x" * 9000,
    "a: " * 50,
    "k: v\n" * 500,
    "- " * 300,
    "\n" + " " * 5000,
]
_ODD = ["\u2028", "\ufeff", "\x85", "\U0001f600", "\ud800", "| "]
PIECES = st.sampled_from([*_SIGNS, *_TAGS, *_LONG, *_ODD]) | st.text(max_size=5)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """The text of a shipped recipe, in which pieces were put in, cut out, doubled or swapped."""
    text = SHIPPED[draw(st.sampled_from(sorted(SHIPPED)))]
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 60)))
        match draw(st.sampled_from(["put", "put", "cut", "double", "indent"])):
            case "put":
                text = text[:start] + draw(PIECES) + text[start:]
            case "cut":
                text = text[:start] + text[end:]
            case "double":
                text = text[:end] + text[start:]
            case "indent":
                text = text[:start] + text[start:].replace("\n", "\n ", 3)
    return text.encode("utf-8", "surrogatepass")


@st.composite
def overrides(draw: st.DrawFn) -> tuple[str, str]:
    """The name of a shipped recipe, and an override of it: of a key that it has, or nearly."""
    name = draw(st.sampled_from(sorted(SHIPPED)))
    key = ".".join(map(str, draw(st.sampled_from(places(load_recipe(name).model_dump(mode="json", by_alias=True))))))
    key = draw(
        st.sampled_from(
            [key, key, key, f"{key}.x", f"{key}.0", key[:-1], "9" * 5000, "a." * 2000, "augment." + "9" * 5000]
        )
    )
    value = draw(JUNK.map(as_yaml) | PIECES | st.text(max_size=30))
    return name, key + draw(st.sampled_from(["=", "=", "=", ""])) + value


def take_document(folder: Path, document: Any) -> None:
    answer(folder, as_yaml(document).encode())


def take_text(folder: Path, content: bytes) -> None:
    answer(folder, content)


def take_override(folder: Path, override: tuple[str, str]) -> None:
    answer(folder, SHIPPED[override[0]].encode(), (override[1],))


@pytest.mark.parametrize("is_valid", [True, False])
def test_some_of_the_documents_are_valid_recipes_and_some_are_not(folder: Path, is_valid: bool) -> None:
    find(spoilt(), lambda document: (answer(folder, as_yaml(document).encode()) == "") is is_valid, settings=FIRST)


# A quarter of a minute each, ten minutes in all for those that are slow; many times that where others use the machine.
short, long = pytest.mark.timeout(900), pytest.mark.timeout(3600)
test_documents_of_the_schema_and_beyond = short(QUICK(given(document=spoilt())(take_document)))
test_texts_of_shipped_recipes_with_mistakes = short(QUICK(given(content=mutated())(take_text)))
test_overrides_of_any_key_with_any_value = short(QUICK(given(override=overrides())(take_override)))


@pytest.mark.slow
@long
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize(
    ("drawn", "take"),
    [(spoilt(), take_document), (mutated(), take_text), (overrides(), take_override)],
    ids=["documents", "texts", "overrides"],
)
def test_many_of_each(
    folder: Path, drawn: st.SearchStrategy[Any], take: Callable[[Path, Any], None], part: int
) -> None:
    seed(part)(THOROUGH(given(drawn)(lambda one: take(folder, one))))()
