"""A release's id follows what its files say: nothing else changes it, and no two releases of one id differ."""

import json
import platform
import re
import shutil
from pathlib import Path

import pytest

from tests.publishing.conftest import make_release, tiny_step
from thaw.pipeline_config.publish_schema import Better
from thaw.tasks.artifacts import step as step_module
from thaw.tasks.home import Home
from thaw.tasks.publishing import model_card, portable_recipe, work
from thaw.tasks.publishing.model_card_template import TEMPLATE
from thaw.tasks.publishing.publish import publish
from thaw.tasks.publishing.step import PublishStep
from thaw.tasks.releases.release import read_release
from thaw.tasks.releases.verdict import ReleasedModel
from thaw.tasks.verdict.rivals import rivals_of

DIGEST = "0123456789abcdef" * 4
KERAS_ONLY = "publish.formats=[keras]"  # the quick one
MENDED_CARD = TEMPLATE.replace("## Limits", "## Its limits")
OTHER = ReleasedModel(release="tiny-000000000000", weights=DIGEST, dataset=DIGEST)


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> tuple[Path, str]:
    """A home folder with a release, and the id of that."""
    home = tmp_path_factory.mktemp("template") / "home"
    step = tiny_step(home, home.with_name("photos"), KERAS_ONLY)
    return home, publish(Home.open(home), make_release(home, step)).id


@pytest.fixture
def home(template, tmp_path: Path) -> Path:
    shutil.copytree(template[0], tmp_path / "home")
    return tmp_path / "home"


def again(home: Path, *overrides: str, champion: ReleasedModel | None = None) -> tuple[PublishStep, Path]:
    """Write the release once more, as after a change that its key follows, or with --refresh publish."""
    step = tiny_step(home, home.parent / "elsewhere", KERAS_ONLY, *overrides, champion=champion)
    Home.open(home).store.forget(step.key)
    return step, Home.open(home).store.folder(make_release(home, step))


def contents(folder: Path) -> dict[str, bytes]:
    """All files but those that hold times."""
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {
        name: path.read_bytes()
        for name, path in paths.items()
        if name not in ("model.keras", "SHA256SUMS", "manifest.json")
    }


def test_the_same_result_in_another_home_gives_the_same_id_and_the_same_files(template, tmp_path):
    home, name = template
    _, folder = again(tmp_path / "other")
    assert read_release(folder).id == name
    assert re.fullmatch("tiny-[0-9a-f]{12}", name)
    assert contents(folder) == contents(home / "releases" / name)
    assert all(name.encode() in contents(folder)[file] for file in ("README.md", "report.html"))


def test_no_clock_and_no_name_of_a_machine_is_in_it(home, template, monkeypatch):
    monkeypatch.setattr(platform, "node", lambda: "another")
    monkeypatch.setattr("time.time", lambda: 1e9)
    assert read_release(again(home)[1]).id == template[1]


def test_another_verdict_is_said_in_the_files_and_so_is_another_release(home, template):
    _, folder = again(home, champion=OTHER)
    assert read_release(folder).id != template[1]
    assert read_release(folder).compared_with == "tiny-000000000000"


@pytest.mark.parametrize("override", ["publish.formats=[saved_model]", "seed=1", "stage_two.epochs=3"])
def test_whatever_the_recipe_of_a_release_says_is_part_of_its_id(home, template, override):
    assert read_release(again(home, override)[1]).id != template[1]


CHANGES = {
    "the card's text": (model_card, "TEMPLATE", MENDED_CARD),
    "how a recipe is written": (portable_recipe, "write_yaml", json.dumps),
    "the library that is stated": (work, "library_version", lambda name: "1.2.3"),
    "thaw's version": (work, "thaw_version", lambda: "9.9.9"),
    "Python's version": (platform, "python_version", lambda: "3.11.99"),
}


@pytest.mark.parametrize(("place", "name", "value"), CHANGES.values(), ids=CHANGES)
def test_a_change_of_any_file_gives_a_new_id_though_the_result_is_the_same(
    home, template, monkeypatch, place, name, value
):
    monkeypatch.setattr(place, name, value)
    _, folder = again(home)
    assert read_release(folder).id != template[1]
    assert contents(folder) != contents(home / "releases" / template[1])


def test_a_change_of_the_code_that_writes_the_model_gives_a_new_id(home, template, monkeypatch):
    sources = step_module.source_fingerprint
    exporter = "thaw.tasks.formats.keras_file"

    def mended(module):
        known = sources(module)
        return {name: "mended" if name == exporter else digest for name, digest in known.items()}

    assert exporter in sources(PublishStep.work.partition(":")[0])
    monkeypatch.setattr(step_module, "source_fingerprint", mended)
    step, folder = again(home)
    assert read_release(folder).id != template[1]
    assert step.key_document["sources"][exporter] == "mended"


def test_a_mended_card_reaches_the_release_that_is_in_use(home, template, monkeypatch):
    monkeypatch.setattr(model_card, "TEMPLATE", MENDED_CARD)
    evaluation = tiny_step(home, home, KERAS_ONLY).evaluation
    champion, _ = rivals_of(Home.open(home).registry, "tiny", evaluation, Better(rule="better"))
    step, folder = again(home, champion=champion)
    ref = Home.open(home).store.build(step, lambda _: pytest.fail("it is there"))
    assert not step.took_effect(Home.open(home), ref)  # so that a run does not end as cached
    info = publish(Home.open(home), ref)
    assert step.took_effect(Home.open(home), ref)
    assert (info.is_champion, info.id) == (True, read_release(folder).id)
    assert "## Its limits" in (info.path / "README.md").read_text()
    assert Home.open(home).registry.log()[-1].reason == f"The same model as {template[1]}, written anew."


def test_a_run_that_was_killed_between_the_files_and_the_pointer_is_not_done(home, monkeypatch):
    monkeypatch.setattr(model_card, "TEMPLATE", MENDED_CARD)
    step, folder = again(home)
    ref = Home.open(home).store.build(step, lambda _: pytest.fail("it is there"))
    shutil.copytree(folder, home / "releases" / read_release(folder).id, ignore=lambda *_: ["manifest.json"])
    assert not step.took_effect(Home.open(home), ref)
    publish(Home.open(home), ref)
    assert step.took_effect(Home.open(home), ref)
    Home.open(home).registry.rollback("tiny", "the old card is better")
    assert step.took_effect(Home.open(home), ref)
