"""Which release `thaw predict` takes. What it answers is tested with the release itself."""

from pathlib import Path
from typing import Any

import pytest

from tests.publishing.helpers import id_of, run
from tests.support import without_cost
from thaw.flows import predict as module
from thaw.pipeline_config.errors import RequestError
from thaw.tasks.artifacts.step import Made
from thaw.tasks.home import Home


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two recipes with a champion each, and a child that only says which release it was given."""
    run(tmp_path, "cats", "a", 0.7)
    run(tmp_path, "digits", "a", 0.7)
    run(tmp_path, "digits", "b", 0.8)
    run(tmp_path, "digits", "c", 0.6)

    def child(function: str, request: Any, **options: Any) -> Made:
        return without_cost({"predictions": [{"release": request.release.name} for _ in request.paths]})

    monkeypatch.setattr(module, "run_in_child", child)
    return tmp_path


def chosen(home: Path, release: str | None = None, recipe: str | None = None) -> str:
    (prediction,) = module.predict(Home.open(home), [Path("one.jpg")], release, recipe)
    name: str = prediction["release"]
    return name


def test_a_recipe_stands_for_its_champion(home):
    assert chosen(home, recipe="digits") == id_of("digits", "b")
    assert chosen(home, recipe="cats") == id_of("cats", "a")


def test_a_release_is_taken_whatever_is_the_champion(home):
    assert chosen(home, release=id_of("digits", "c")) == id_of("digits", "c")


@pytest.mark.parametrize(
    ("release", "recipe", "words"),
    [
        (None, None, "Name a recipe with --recipe, or a release with --release"),
        (None, "digit", "Recipe 'digit' has no champion .* Nearest: digits"),
        (id_of("digits", "c"), "digits", "Give one of them"),
    ],
)
def test_what_names_no_single_release_is_refused(home, release, recipe, words):
    with pytest.raises(RequestError, match=words):
        chosen(home, release, recipe)


def test_where_one_recipe_has_a_champion_none_need_be_named(tmp_path, monkeypatch):
    run(tmp_path, "digits", "a", 0.7)
    made = without_cost({"predictions": [{"release": "x"}]})
    monkeypatch.setattr(module, "run_in_child", lambda *request, **options: made)
    assert chosen(tmp_path) == "x"
    with pytest.raises(RequestError, match="found: none"):
        chosen(tmp_path / "empty")
