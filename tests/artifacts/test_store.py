import json
import multiprocessing
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from tests.artifacts.steps import LetterStep, write_letters
from tests.support import without_cost
from thaw.pipeline_config.errors import ArtifactError, DatasetError, UnreadableError
from thaw.tasks.artifacts.manifest import ArtifactRef, FileEntry, Manifest, list_files, read_manifest
from thaw.tasks.artifacts.step import Cost, Facts
from thaw.tasks.artifacts.store import write_json
from thaw.tasks.home import Home

STEP = LetterStep(text="x")
FORK = multiprocessing.get_context("fork")  # quick; these processes hold no threads and no TensorFlow


@pytest.fixture
def store(tmp_path):
    return Home.open(tmp_path / "home").store


def never(folder):
    pytest.fail("was built again")


def files_below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


# --------------------------------------------------------------------------------------------------- build, find, reuse


def test_opening_a_store_and_looking_for_a_key_writes_nothing(store):
    assert store.look_up(STEP.key) is None
    assert not store.home.exists()


def test_built_artifact_is_found_and_not_built_again(store):
    ref = store.build(STEP, write_letters)
    assert ref.kind == "letters"
    assert store.look_up(STEP.key) == ref
    assert store.build(STEP, never) == ref
    assert Home.open(store.home).store.build(STEP, never) == ref
    folder = store.verified(ref)
    assert folder == store.folder(ref) == store.home / "artifacts" / "letters" / ref.digest
    assert files_below(folder) == ["a.txt", "deep/er/b.bin", "manifest.json"]
    assert (folder / "a.txt").read_bytes() == b"alpha"
    assert not any((store.home / "building").iterdir())


def test_a_rebuild_of_the_same_content_says_what_it_took_itself(store):
    def lasting(seconds: float) -> ArtifactRef:
        ref: ArtifactRef = store.build(STEP, lambda folder: replace(write_letters(folder), cost=Cost(seconds=seconds)))
        return ref

    ref = lasting(5.0)
    assert store.cost(STEP.key) == Cost(seconds=5.0)
    store.forget(STEP.key)
    assert store.cost(STEP.key) is None
    assert lasting(1.0) == ref
    assert store.cost(STEP.key) == Cost(seconds=1.0)


def test_manifest_says_what_the_artifact_holds_and_what_it_was_made_from(store):
    ref = store.build(STEP, lambda folder: replace(write_letters(folder), facts={"warnings": ["é"]}))
    manifest = read_manifest(store.folder(ref))
    digest = "8ed3f6ad685b959ead7022518e1af76cd816f8e8ec7ccdda1ed4018e8f2223f8"  # printf alpha | sha256sum
    assert manifest.files["a.txt"] == FileEntry(bytes=5, sha256=digest)
    assert manifest.made_from == STEP.key_document
    assert read_manifest(store.folder(ref)).facts == {"warnings": ["é"]}


def test_name_follows_from_kind_and_files_alone(tmp_path):
    write_letters(tmp_path)
    files = list_files(tmp_path)
    ref = Manifest(kind="letters", files=files, made_from={"a": 1}, facts={"seconds": 1}).ref
    assert Manifest(kind="letters", files=files, made_from={"b": 2}, facts={"seconds": 2}).ref == ref
    assert Manifest(kind="letters", files=dict(reversed(files.items())), made_from={}, facts={}).ref == ref
    assert Manifest(kind="others", files=files, made_from={}, facts={}).ref.digest != ref.digest
    renamed = {**{name: entry for name, entry in files.items() if name != "a.txt"}, "c.txt": files["a.txt"]}
    assert Manifest(kind="letters", files=renamed, made_from={}, facts={}).ref != ref
    (tmp_path / "a.txt").write_bytes(b"alphb")
    assert Manifest(kind="letters", files=list_files(tmp_path), made_from={}, facts={}).ref != ref


def test_same_content_under_two_keys_is_one_artifact_that_both_find(store):
    other = LetterStep(text="y")
    ref = store.build(STEP, write_letters)
    assert store.build(other, write_letters) == ref
    assert store.look_up(STEP.key) == store.look_up(other.key) == ref
    assert len(list((store.home / "artifacts" / "letters").iterdir())) == 1
    assert not any((store.home / "building").iterdir())


def test_same_content_under_two_keys_replaces_a_damaged_artifact(store):
    ref = store.build(STEP, write_letters)
    (store.folder(ref) / "a.txt").write_bytes(b"?")
    assert store.build(LetterStep(text="y"), write_letters) == ref
    assert store.look_up(STEP.key) == ref
    assert (store.home / "quarantine" / "letters" / f"{ref.digest}.1" / "a.txt").read_bytes() == b"?"


# ------------------------------------------------------------------------------------------------------------ damage

DAMAGES = {
    "missing file": lambda folder: (folder / "a.txt").unlink(),
    "truncated file": lambda folder: os.truncate(folder / "deep/er/b.bin", 255),
    "emptied file": lambda folder: os.truncate(folder / "a.txt", 0),
    "longer file": lambda folder: (folder / "a.txt").write_bytes(b"alpha!"),
    "flipped bit": lambda folder: flip(folder / "deep/er/b.bin", 100),
    "extra file": lambda folder: (folder / "deep" / "new.txt").write_bytes(b""),
    "file that is now a folder": lambda folder: ((folder / "a.txt").unlink(), (folder / "a.txt").mkdir()),
    "missing manifest": lambda folder: (folder / "manifest.json").unlink(),
    "truncated manifest": lambda folder: os.truncate(folder / "manifest.json", 40),
    "emptied manifest": lambda folder: os.truncate(folder / "manifest.json", 0),
    "manifest of another artifact": lambda folder: edit_manifest(folder, '"bytes": 5', '"bytes": 6'),
    "manifest of another kind": lambda folder: edit_manifest(folder, '"kind": "letters"', '"kind": "numbers"'),
    "manifest that is no UTF-8": lambda folder: (folder / "manifest.json").write_bytes(b"\xff\xfe"),
}
NAMED = {"missing file": "a.txt is missing", "truncated file": "b.bin has 255 bytes, expected 256"} | {
    "emptied file": "a.txt has 0 bytes, expected 5",
    "flipped bit": "b.bin was altered",
    "extra file": "deep/new.txt does not belong",
    "missing manifest": "manifest.json is missing",
    "truncated manifest": "manifest.json is damaged",
    "manifest of another artifact": "manifest.json was altered",
}


def flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def edit_manifest(folder: Path, old: str, new: str) -> None:
    path = folder / "manifest.json"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_artifact_is_set_aside_and_built_again(store, damage):
    ref = store.build(STEP, write_letters)
    DAMAGES[damage](store.folder(ref))
    with pytest.raises(ArtifactError, match=NAMED.get(damage, str(store.folder(ref)))):
        store.verified(ref)
    assert store.look_up(STEP.key) is None
    assert not store.folder(ref).exists()
    assert (store.home / "quarantine" / "letters" / f"{ref.digest}.1").is_dir()
    assert store.build(STEP, write_letters) == ref
    store.verified(ref)


def test_every_flipped_bit_of_a_file_is_noticed(store):
    ref = store.build(STEP, write_letters)
    path = store.folder(ref) / "a.txt"
    for position in range(5):
        flip(path, position)
        with pytest.raises(ArtifactError, match="was altered"):
            store.verified(ref)
        flip(path, position)
    store.verified(ref)


def test_flipped_byte_anywhere_in_the_key_record_never_leads_to_a_wrong_artifact(store):
    ref = store.build(STEP, write_letters)
    record = store.home / "keys" / f"{STEP.key}.json"
    content = record.read_bytes()
    for position in range(0, len(content), 7):
        record.write_bytes(content[:position] + bytes([content[position] ^ 4]) + content[position + 1 :])
        assert store.look_up(STEP.key) in (None, ref)
    record.unlink(missing_ok=True)
    assert store.build(STEP, write_letters) == ref


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]", b'{"ref": {"kind": "letters"}, "document": {}}'])
def test_damaged_key_record_counts_as_absent_and_harms_no_artifact(store, content):
    ref = store.build(STEP, write_letters)
    (store.home / "keys" / f"{STEP.key}.json").write_bytes(content)
    assert store.look_up(STEP.key) is None
    store.verified(ref)
    assert store.build(STEP, write_letters) == ref
    assert store.look_up(STEP.key) == ref


def test_deleted_artifact_is_built_again(store):
    ref = store.build(STEP, write_letters)
    shutil.rmtree(store.home / "artifacts")
    assert store.look_up(STEP.key) is None
    assert store.build(STEP, write_letters) == ref


def test_quarantine_keeps_every_failed_artifact_whatever_was_cleared_from_it(store):
    place = store.home / "quarantine" / "letters"
    ref = store.build(STEP, write_letters)
    for count in range(1, 4):
        assert store.build(STEP, write_letters) == ref
        (store.folder(ref) / "a.txt").write_bytes(b"?")
        assert store.look_up(STEP.key) is None
        assert len(list(place.iterdir())) == count
    shutil.rmtree(place / f"{ref.digest}.1")
    ref = store.build(STEP, write_letters)
    (store.folder(ref) / "a.txt").unlink()
    assert store.look_up(STEP.key) is None
    assert {path.name for path in place.iterdir()} == {f"{ref.digest}.{number}" for number in (1, 2, 3)}


def test_file_that_cannot_be_read_is_an_error_that_names_it(store, monkeypatch):
    ref = store.build(STEP, write_letters)

    def fail(*arguments):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("hashlib.file_digest", fail)
    with pytest.raises(UnreadableError, match=r"a\.txt cannot be read: Input/output error"):
        store.verified(ref)


# ----------------------------------------------------------------------------------------------------- builds that fail


def test_failed_work_leaves_nothing_and_its_error_passes_unchanged(store):
    def fail(folder):
        (folder / "half.txt").write_bytes(b"half")
        raise DatasetError("no images")

    with pytest.raises(DatasetError, match=r"^no images$"):
        store.build(STEP, fail)
    assert [name for name in files_below(store.home) if not name.startswith("locks/")] == []
    assert store.look_up(STEP.key) is None
    assert store.build(STEP, write_letters) == store.look_up(STEP.key)  # and the lock is free


def test_killed_build_leaves_nothing_that_counts_and_the_next_one_clears_it(store):
    def build_and_die():
        def work(folder):
            (folder / "half.txt").write_bytes(b"half")
            os.kill(os.getpid(), signal.SIGKILL)

        store.build(STEP, work)

    child = FORK.Process(target=build_and_die)
    child.start()
    child.join(20)
    assert child.exitcode == -signal.SIGKILL
    assert (store.home / "building" / STEP.key / "half.txt").exists()  # that it got so far
    assert not (store.home / "artifacts").exists()
    assert store.look_up(STEP.key) is None

    def work(folder):
        assert not any(folder.iterdir())
        return write_letters(folder)

    ref = store.build(STEP, work)
    assert files_below(store.verified(ref)) == ["a.txt", "deep/er/b.bin", "manifest.json"]
    assert not any((store.home / "building").iterdir())


@pytest.mark.parametrize("operation", ["write_bytes", "rename", "mkdir", "replace"])
def test_full_disk_at_any_step_is_an_artifact_error_after_which_the_next_build_succeeds(store, monkeypatch, operation):
    original, calls = getattr(Path, operation), 0

    def failing_at(number):
        def fail(self, *arguments, **options):
            nonlocal calls
            if store.home not in self.parents and self != store.home:
                return original(self, *arguments, **options)
            calls += 1
            if calls == number:
                raise OSError(28, "No space left on device")
            return original(self, *arguments, **options)

        return fail

    work = write_letters_without_pathlib
    for number in range(1, 30):
        shutil.rmtree(store.home, ignore_errors=True)
        calls = 0
        monkeypatch.setattr(Path, operation, failing_at(number))
        message = "No space left on device"
        try:
            store.build(STEP, work)
        except ArtifactError as error:
            message = str(error)
        finally:
            monkeypatch.setattr(Path, operation, original)
        assert "No space left on device" in message
        failed = calls >= number
        ref = store.look_up(STEP.key)
        assert ref is None or store.verified(ref)
        store.verified(store.build(STEP, work))
        if not failed:
            assert number > 1  # at least one failure was injected
            return
    pytest.fail("the operation never ran out")


def write_letters_without_pathlib(folder):
    with open(folder / "a.txt", "wb") as file:  # noqa: PTH123 (so that only the store's own operations fail)
        file.write(b"alpha")
    return without_cost()


@pytest.mark.parametrize(
    "use",
    [
        lambda store: store.build(STEP, never),
        lambda store: store.look_up(STEP.key),
        lambda store: store.lock("champion").__enter__(),
    ],
    ids=["build", "find", "lock"],
)
def test_home_that_cannot_be_written_is_an_error_that_names_it(tmp_path, use):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ArtifactError, match=r"file/home/.*Choose another --home") as caught:
        use(Home.open(tmp_path / "file" / "home").store)
    assert "\n" not in str(caught.value)


# ---------------------------------------------------------------------------------------------------------------- JSON


def test_json_of_equal_content_is_equal_bytes(tmp_path):
    write_json(tmp_path / "a.json", {"b": [1, 2.5, None], "a": "é"})
    write_json(tmp_path / "b.json", {"a": "é", "b": [1, 2.5, None]})
    content = (tmp_path / "a.json").read_bytes()
    assert content == (tmp_path / "b.json").read_bytes()
    assert json.loads(content) == {"a": "é", "b": [1, 2.5, None]}
    assert "é".encode() in content
    assert content.endswith(b"}\n")


def test_json_refuses_a_number_that_is_not_finite(tmp_path):
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "a.json", {"loss": float("nan")})


def test_facts_of_an_artifact_that_is_gone_are_an_error(store):
    with pytest.raises(ArtifactError, match=r"manifest\.json is missing"):
        store.facts(ArtifactRef(kind="letters", digest="00"), Facts)
