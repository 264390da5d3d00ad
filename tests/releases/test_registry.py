"""Listing, promoting, rolling back, and what is said when it cannot be done."""

import re
from datetime import datetime

import pytest

from tests.publishing.helpers import assert_consistent, champion_id, damage, id_of, run
from thaw.pipeline_config.errors import PublishError, RequestError
from thaw.tasks.home import Home
from thaw.tasks.releases import registry as registry_module


@pytest.fixture
def home(tmp_path):
    """Three releases of digits, each better than the one before, and one of cats_dogs."""
    for tag, accuracy in [("a", 0.7), ("b", 0.8), ("c", 0.9)]:
        run(tmp_path, "digits", tag, accuracy)
    run(tmp_path, "cats_dogs", "x", 0.6)
    return tmp_path


def test_list_is_sorted_and_names_the_champions(home):
    infos = Home.open(home).registry.list()
    assert [info.recipe for info in infos] == ["cats_dogs", "digits", "digits", "digits"]
    assert {info.id for info in infos if info.is_champion} == {id_of("digits", "c"), id_of("cats_dogs", "x")}
    assert [info.id for info in infos[1:]] == sorted(info.id for info in infos[1:])


def test_an_empty_home_has_no_releases(tmp_path):
    registry = Home.open(tmp_path / "home").registry
    assert (list(registry.list()), list(registry.log()), registry.champions()) == ([], [], {})
    assert registry.champion("digits") is None
    assert not (tmp_path / "home").exists()


def test_unsigned_and_temporary_folders_are_invisible(home):
    registry = Home.open(home).registry
    before = registry.list()
    (registry.releases / "digits-unsigned").mkdir()
    (registry.releases / ".tmp-digits-0").mkdir()
    (registry.releases / ".tmp-digits-0" / "SHA256SUMS").touch()
    assert registry.list() == before
    for name in ("digits-unsigned", ".tmp-digits-0", "champions", ".", "..", "../releases", ""):
        with pytest.raises(RequestError):
            registry.get(name)
    registry.promote(id_of("digits", "a"), "to see the temporary one cleared")
    assert not (registry.releases / ".tmp-digits-0").exists()


def test_an_unknown_release_names_the_nearest(home):
    known = id_of("digits", "a")
    with pytest.raises(RequestError, match=re.escape(f"Nearest: {known}.")):
        Home.open(home).registry.get(known[:-1] + ("0" if known[-1] != "0" else "1"))
    with pytest.raises(RequestError, match="There is no release 'zzz'"):
        Home.open(home).registry.promote("zzz", "")


def test_promote_moves_the_pointer_and_is_logged(home):
    info = Home.open(home).registry.promote(id_of("digits", "a"), "smaller")
    assert info.is_champion
    entry = Home.open(home).registry.log()[-1]
    assert (entry.action, entry.release, entry.previous, entry.reason) == (
        "promote",
        id_of("digits", "a"),
        id_of("digits", "c"),
        "smaller",
    )
    assert champion_id(home, "cats_dogs") == id_of("cats_dogs", "x")


def test_promoting_the_champion_changes_nothing(home):
    before = Home.open(home).registry.log()
    Home.open(home).registry.promote(id_of("digits", "c"), "once more")
    assert Home.open(home).registry.log() == before


@pytest.mark.parametrize("name", ["model.keras", "saved_model/variables/manifest.json"])
def test_a_damaged_release_is_not_promoted_nor_rolled_back_to(home, name):
    damage(Home.open(home).registry.get(id_of("digits", "b")).path / name)
    for change in (
        lambda: Home.open(home).registry.promote(id_of("digits", "b"), ""),
        lambda: Home.open(home).registry.rollback("digits", ""),
    ):
        with pytest.raises(PublishError, match=re.escape(name)):
            change()
    assert champion_id(home, "digits") == id_of("digits", "c")


def test_rolling_back_twice_goes_back_two_champions(home):
    assert Home.open(home).registry.rollback("digits", "").id == id_of("digits", "b")
    assert Home.open(home).registry.rollback("digits", "").id == id_of("digits", "a")
    with pytest.raises(RequestError, match=f"no champion before {id_of('digits', 'a')}"):
        Home.open(home).registry.rollback("digits", "")
    assert_consistent(home)


def test_rolling_back_a_promotion_returns_to_what_it_replaced(home):
    Home.open(home).registry.promote(id_of("digits", "a"), "")
    assert Home.open(home).registry.rollback("digits", "").id == id_of("digits", "c")
    assert Home.open(home).registry.rollback("digits", "").id == id_of("digits", "b")


def test_a_damaged_champion_can_be_rolled_back(home):
    path = Home.open(home).registry.get(id_of("digits", "c")).path
    damage(path / "model.keras")
    assert Home.open(home).registry.rollback("digits", "damaged").id == id_of("digits", "b")


def test_rollback_passes_over_a_release_that_was_removed(home):
    for path in sorted(Home.open(home).registry.get(id_of("digits", "b")).path.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    assert Home.open(home).registry.rollback("digits", "").id == id_of("digits", "a")


def test_rollback_must_know_which_recipe_is_meant(home, tmp_path):
    with pytest.raises(RequestError, match="cats_dogs, digits"):
        Home.open(home).registry.rollback(None, "")
    with pytest.raises(RequestError, match=r"Recipe 'digit' has no champion\. Nearest: digits"):
        Home.open(home).registry.rollback("digit", "")
    with pytest.raises(RequestError, match="no champion"):
        Home.open(tmp_path / "empty").registry.rollback(None, "")


def test_a_release_with_a_damaged_description_is_listed_as_damaged(home):
    info = Home.open(home).registry.get(id_of("digits", "a"))
    damage(info.path / "release.json")
    registry = Home.open(home).registry
    assert info.id not in [other.id for other in registry.list()]
    assert list(registry.damaged()) == [info.id]
    assert "release.json was altered" in registry.damaged()[info.id]


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda path: (path / "model.keras").unlink(), r"model\.keras cannot be read"),
        (lambda path: (path / "model.keras").write_bytes(b""), r"model\.keras was altered"),
        (lambda path: (path / "more.txt").touch(), r"more\.txt does not belong"),
        (lambda path: (path / "SHA256SUMS").write_bytes(b""), "SHA256SUMS is damaged: it is empty"),
        (lambda path: (path / "SHA256SUMS").write_bytes(b"\xff"), "SHA256SUMS cannot be read"),
        (lambda path: (path / "SHA256SUMS").write_text("0" * 64 + "  ../../x\n"), "line 1 is not"),
        (lambda path: damage(path / "SHA256SUMS"), "SHA256SUMS"),
    ],
)
def test_verify_names_the_file(tmp_path, harm, message):
    info = run(tmp_path, "digits", "a", 0.9)
    harm(info.path)
    with pytest.raises(PublishError, match=message) as caught:
        Home.open(tmp_path).registry.verify(info.id)
    assert "\n" not in str(caught.value)


def test_hidden_files_of_a_file_manager_do_no_harm(tmp_path):
    info = run(tmp_path, "digits", "a", 0.9)
    (info.path / ".DS_Store").touch()
    (info.path / "saved_model" / ".directory").touch()
    Home.open(tmp_path).registry.verify(info.id)


def test_a_clock_that_jumps_back_changes_no_order(home, monkeypatch):
    class Past(datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(1970, 1, 1, tzinfo=tz)

    monkeypatch.setattr(registry_module, "datetime", Past)
    Home.open(home).registry.promote(id_of("digits", "a"), "")
    assert Home.open(home).registry.log()[-1].time == "1970-01-01T00:00:00+00:00"
    assert champion_id(home, "digits") == id_of("digits", "a")
    assert Home.open(home).registry.rollback("digits", "").id == id_of("digits", "c")
    assert [entry.sequence for entry in Home.open(home).registry.log()] == [1, 2, 3, 4, 5, 6]
