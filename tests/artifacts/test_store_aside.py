"""What the store says of damage, what it trusts, and what it removes besides: checkpoints, and forgotten keys."""

import json
import logging
import shutil
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.artifacts.steps import LetterStep, write_letters
from tests.support import without_cost
from thaw.pipeline_config.errors import ArtifactError, UnreadableError
from thaw.tasks.artifacts import file_digests
from thaw.tasks.artifacts.file_digests import MEMORY_NAME, FileDigests
from thaw.tasks.artifacts.manifest import digest_of, find_damage
from thaw.tasks.home import Home

STEP = LetterStep(text="x")


@pytest.fixture
def told():
    return []


@pytest.fixture
def store(tmp_path, told):
    return Home.open(tmp_path / "home").store.telling(told.append)


def never(folder):
    pytest.fail("was built again")


# ------------------------------------------------------------------------------------------------------------ warnings


def test_a_damaged_file_is_named_with_the_place_where_its_artifact_is_now(store, told):
    ref = store.build(STEP, write_letters)
    path = store.folder(ref) / "a.txt"
    path.write_bytes(b"aleph")
    assert store.look_up(STEP.key) is None
    aside = store.home / "quarantine" / "letters" / f"{ref.digest}.1"
    assert told == [f"{path} was altered: its SHA-256 is not the recorded one. Set aside as {aside}, to be made again."]
    assert (aside / "a.txt").read_bytes() == b"aleph"


def test_an_artifact_that_is_gone_is_named_too(store, told):
    ref = store.build(STEP, write_letters)
    shutil.rmtree(store.folder(ref))
    assert store.look_up(STEP.key) is None
    assert told == [f"{store.folder(ref) / 'manifest.json'} is missing. To be made again."]


def test_a_key_that_was_never_built_and_one_that_is_whole_are_no_reason_to_warn(store, told):
    assert store.look_up(STEP.key) is None
    store.build(STEP, write_letters)
    assert store.look_up(STEP.key)
    assert told == []


def test_a_warning_that_cannot_be_told_stops_nothing(store, caplog):
    def fail(text):
        raise ConnectionError("the server is gone")

    ref = store.build(STEP, write_letters)
    (store.folder(ref) / "a.txt").unlink()
    assert store.telling(fail).look_up(STEP.key) is None
    assert "not all of it is shown: ConnectionError" in caplog.text
    assert store.build(STEP, write_letters) == ref


def test_a_store_that_nobody_listens_to_writes_its_warnings_to_the_log(tmp_path, caplog):
    store = Home.open(tmp_path / "home").store
    ref = store.build(STEP, write_letters)
    (store.folder(ref) / "a.txt").unlink()
    with caplog.at_level(logging.WARNING):
        assert store.look_up(STEP.key) is None
    assert "a.txt is missing. Set aside as" in caplog.text


def edited(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_bytes()) | changes))


RECORD_DAMAGES = {
    "no JSON": lambda path: path.write_bytes(path.read_bytes()[:-9]),
    "another setting": lambda path: path.write_text(path.read_text().replace('"text": "x"', '"text": "y"')),
    "no settings": lambda path: edited(path, document={}),
    "settings of a strange type": lambda path: edited(
        path, document={"kind": "letters", "depends_on": [1], "sources": 3}
    ),
    "a number that is not finite": lambda path: path.write_text(path.read_text().replace('"x"', "NaN")),
    "another kind": lambda path: edited(path, ref={"kind": "numbers", "digest": "0" * 64}),
    "a digest that leads out of the folder": lambda path: edited(path, ref={"kind": "letters", "digest": "../../x"}),
}


@pytest.mark.parametrize("damage", RECORD_DAMAGES)
def test_a_damaged_key_record_is_named_and_set_aside_and_explains_nothing(store, told, damage):
    ref = store.build(STEP, write_letters)
    path = store.home / "keys" / f"{STEP.key}.json"
    before = path.read_bytes()
    RECORD_DAMAGES[damage](path)
    assert path.read_bytes() != before
    assert store.key_documents("letters") == []
    message = f"{path} is damaged: it is not the record of this key"
    assert store.peek(STEP.key) == (None, message)
    assert store.look_up(STEP.key) is None
    aside = store.home / "quarantine" / "keys" / f"{STEP.key}.json.1"
    assert told == [f"{message}. Set aside as {aside}, to be made again."]
    assert aside.is_file()
    assert store.build(STEP, write_letters) == ref
    assert store.key_documents("letters") == [STEP.key_document]


def test_a_record_under_another_keys_name_leads_nowhere(store):
    store.build(STEP, write_letters)
    other = LetterStep(text="y")
    shutil.copy(store.home / "keys" / f"{STEP.key}.json", store.home / "keys" / f"{other.key}.json")
    assert store.look_up(other.key) is None
    assert store.look_up(STEP.key)
    assert digest_of(STEP.key_document) == STEP.key


def test_what_another_process_has_made_anew_in_between_is_not_set_aside(store, told, monkeypatch):
    """This process finds damage, is held up, and goes on when the other has set it aside and built it again."""
    ref = store.build(STEP, write_letters)
    (store.folder(ref) / "a.txt").write_bytes(b"?")
    other = Home.open(store.home).store.telling(told.append)
    seen: list[str | None] = []

    def held_up(*arguments):
        damage = find_damage(*arguments)
        if not seen:
            seen.append(damage)
            other.build(STEP, write_letters)
        return damage

    monkeypatch.setattr("thaw.tasks.artifacts.store.find_damage", held_up)
    assert store.look_up(STEP.key) == ref
    assert seen[0] is not None
    assert store.build(STEP, never) == ref
    assert len(told) == 1


# --------------------------------------------------------------------------------------- what is read, and what is not


@pytest.fixture
def remembered(store, monkeypatch):
    """An artifact whose files are remembered."""
    monkeypatch.setattr(file_digests, "_SETTLED_AFTER_NS", 0)
    ref = store.build(STEP, write_letters)
    store.verified(ref)
    assert (store.home / MEMORY_NAME).exists()
    return ref


def test_an_artifact_that_was_checked_is_not_read_again_before_the_memory_is_forgotten(store, remembered, monkeypatch):
    def fail(*arguments):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("hashlib.file_digest", fail)
    store.verified(remembered)
    assert store.look_up(STEP.key) == remembered
    FileDigests(store.home).forget()
    with pytest.raises(UnreadableError, match="cannot be read: Input/output error"):
        store.verified(remembered)


def test_a_memory_that_says_something_else_condemns_no_artifact(store, remembered, told):
    def wrong(digests, paths):
        return ["0" * 64 for _ in paths]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FileDigests, "sha256_of", wrong)
        assert store.look_up(STEP.key) == remembered
    assert told == []


def test_the_manifest_is_read_whole_each_time(store, remembered):
    path = store.folder(remembered) / "manifest.json"
    status = path.stat()
    path.write_text(path.read_text().replace('"bytes": 5', '"bytes": 6'))
    assert path.stat().st_size == status.st_size
    with pytest.raises(ArtifactError, match=r"manifest\.json was altered"):
        store.verified(remembered)


def test_files_are_really_read_when_an_artifact_is_sealed(store, monkeypatch):
    monkeypatch.setattr(file_digests, "_SETTLED_AFTER_NS", 0)

    def work(folder):
        (folder / "a.txt").write_bytes(b"alpha")
        FileDigests(store.home).sha256_of([folder / "a.txt"])
        with closing(sqlite3.connect(store.home / MEMORY_NAME)) as connection, connection:
            assert connection.execute("SELECT count(*) FROM files").fetchone() == (1,)
        monkeypatch.setattr(FileDigests, "sha256_of", lambda *arguments: pytest.fail("asked the memory"))
        return without_cost()

    ref = store.build(STEP, work)
    monkeypatch.undo()
    store.verified(ref)


# ------------------------------------------------------------------------------------------ checkpoints and forgetting


def test_checkpoints_outlive_a_failed_attempt_and_go_with_the_last_one(store):
    place = store.checkpoints(STEP.key)
    assert place == store.home / "checkpoints" / STEP.key
    assert not place.exists()

    def fail(folder):
        place.mkdir(parents=True)
        (place / "step-3").write_bytes(b"weights")
        raise ArtifactError("no space")

    with pytest.raises(ArtifactError, match="no space"):
        store.build(STEP, fail)
    assert (place / "step-3").read_bytes() == b"weights"

    def succeed(folder):
        assert (place / "step-3").read_bytes() == b"weights"
        return write_letters(folder)

    store.build(STEP, succeed)
    assert not place.exists()


@pytest.mark.parametrize("use", [lambda store: store.look_up(STEP.key), lambda store: store.build(STEP, never)])
def test_checkpoints_that_a_killed_builder_left_beside_a_finished_artifact_go_when_it_is_found(store, use):
    ref = store.build(STEP, write_letters)
    store.checkpoints(STEP.key).mkdir(parents=True)
    assert use(store) == ref
    assert not store.checkpoints(STEP.key).exists()


def test_a_damaged_artifact_does_not_cost_the_checkpoints(store):
    ref = store.build(STEP, write_letters)
    store.checkpoints(STEP.key).mkdir(parents=True)
    (store.folder(ref) / "a.txt").unlink()
    assert store.look_up(STEP.key) is None
    assert store.checkpoints(STEP.key).exists()


def test_a_forgotten_key_is_built_again_from_its_beginning_and_the_artifact_stays(store):
    ref = store.build(STEP, write_letters)
    store.checkpoints(STEP.key).mkdir(parents=True)
    other = LetterStep(text="y")
    store.build(other, write_letters)
    store.forget(STEP.key)
    assert store.look_up(STEP.key) is None
    assert [path.name for path in store.checkpoints(STEP.key).iterdir()] == ["from-nothing"]
    assert store.look_up(other.key) == ref
    built = []

    def work(folder):
        built.append(folder)
        return write_letters(folder)

    assert store.build(STEP, work) == ref
    assert len(built) == 1


def test_forgetting_a_key_that_was_never_built_does_nothing(store):
    store.forget(STEP.key)
    assert store.look_up(STEP.key) is None


def test_forgetting_waits_until_the_key_is_built(store):
    started, finished = threading.Event(), []

    def work(folder):
        started.set()
        time.sleep(0.3)  # long enough for the other to come to the lock
        finished.append("built")
        return write_letters(folder)

    def forget():
        store.forget(STEP.key)
        finished.append("forgotten")

    forgetting = threading.Thread(target=forget)
    building = threading.Thread(target=store.build, args=(STEP, work))
    building.start()
    assert started.wait(20)
    forgetting.start()
    building.join(20)
    forgetting.join(20)
    assert finished == ["built", "forgotten"]
    assert store.look_up(STEP.key) is None
