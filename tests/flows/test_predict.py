"""Which release `thaw predict` takes. What it answers is tested with the release itself."""

from pathlib import Path
from typing import Any

import pytest

from tests.publishing.helpers import id_of, run
from tests.support import small_recipe, without_cost
from thaw.flows import predict as module
from thaw.flows.commands import predict as command
from thaw.pipeline_config.errors import RequestError
from thaw.pipeline_config.yaml_dialect import write_yaml
from thaw.tasks.artifacts.step import Made
from thaw.tasks.home import Home
from thaw.tasks.publishing.portable_recipe import portable_recipe
from thaw.tasks.releases.checksums import write_checksums
from thaw.tasks.releases.release import RESOLVED_RECIPE_FILE_NAME


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


@pytest.mark.parametrize("devices", ["cpu", [1], "auto"])
def test_the_release_answers_on_the_devices_of_its_recipe(home, monkeypatch, devices):
    seen: list[Any] = []

    def child(function: str, request: Any, **options: Any) -> Made:
        seen.append(request.devices)
        return without_cost({"predictions": []})

    monkeypatch.setattr(module, "run_in_child", child)
    release = Home.open(home).registry.get(id_of("cats", "a"))
    recipe = small_recipe(home, devices=devices)
    (release.path / RESOLVED_RECIPE_FILE_NAME).write_text(write_yaml(portable_recipe(recipe, resolved=True)))
    write_checksums(release.path)
    for recipe_name in ("cats", "digits"):  # the second one's release is of a time before that file
        module.predict(Home.open(home), [], None, recipe_name)
    assert seen == [devices, "auto"]


def test_a_line_says_that_an_answer_is_unsure(tmp_path, monkeypatch, capsys):
    answers = [
        {"path": f"{unsure}.jpg", "class": "cat", "probability": 0.5, "unsure": unsure}
        for unsure in (True, False, None)
    ]
    monkeypatch.setattr(command, "predict", lambda *request: answers)
    command.predict_images([], release_id=None, recipe=None, home=tmp_path, as_json=False)
    assert capsys.readouterr().out == "True.jpg\tcat\t0.5000\tunsure\nFalse.jpg\tcat\t0.5000\nNone.jpg\tcat\t0.5000\n"


def test_where_one_recipe_has_a_champion_none_need_be_named(tmp_path, monkeypatch):
    run(tmp_path, "digits", "a", 0.7)
    made = without_cost({"predictions": [{"release": "x"}]})
    monkeypatch.setattr(module, "run_in_child", lambda *request, **options: made)
    assert chosen(tmp_path) == "x"
    with pytest.raises(RequestError, match="found: none"):
        chosen(tmp_path / "empty")
