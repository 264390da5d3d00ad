"""Failures are injected at every operation, one after the other, until none fails."""

import os
from pathlib import Path

import pytest

from thaw.pipeline_config.errors import ArtifactError
from thaw.tasks.artifacts import atomic
from thaw.tasks.artifacts.atomic import make_folder, move_into_place, rename, write_atomically

OLD, NEW = b"old content", b"new content, which is longer"
NO_SPACE = OSError(28, "No space left on device")


class Crash(BaseException):
    """The process ends here: nothing after it runs that a kill would not run."""


class Faults:
    """Counts the operations on files, and lets one of them fail."""

    def __init__(self, monkeypatch) -> None:
        self.at, self.fault, self.count = 0, NO_SPACE, 0
        for place, name in ((os, "fsync"), (os, "open"), (Path, "open"), (Path, "replace"), (Path, "rename")):
            monkeypatch.setattr(place, name, self._wrap(getattr(place, name)))

    def _wrap(self, original):
        def run(*arguments, **options):
            self.count += 1
            if self.count == self.at:
                raise self.fault
            result = original(*arguments, **options)
            return _Writer(result, self) if hasattr(result, "write") else result

        return run

    def arm(self, at, fault):
        self.at, self.fault, self.count = at, fault, 0

    def disarm(self):
        """Let all go well from now on, and tell how many operations there were."""
        self.at = 0
        return self.count

    def tick(self):
        self.count += 1
        return self.count == self.at


class _Writer:
    """A file whose writing can stop half way."""

    def __init__(self, file, faults) -> None:
        self._file, self._faults = file, faults

    def write(self, content):
        if self._faults.tick():
            self._file.write(content[: len(content) // 2])
            self._file.flush()
            raise self._faults.fault
        return self._file.write(content)

    def __getattr__(self, name):
        return getattr(self._file, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()


@pytest.fixture
def faults(monkeypatch):
    return Faults(monkeypatch)


@pytest.mark.parametrize("before", [OLD, None])
@pytest.mark.parametrize("fault", [NO_SPACE, Crash()], ids=["full disk", "crash"])
def test_write_that_fails_anywhere_leaves_the_old_content_or_the_new(tmp_path, faults, before, fault):
    path, seen = tmp_path / "file", set()
    for at in range(1, 50):
        faults.disarm()
        path.unlink(missing_ok=True)
        if before is not None:
            path.write_bytes(before)
        faults.arm(at, fault)
        try:
            write_atomically(path, NEW)
        except (ArtifactError, Crash):
            faults.disarm()
            content = path.read_bytes() if path.exists() else None
            assert content in (before, NEW)
            seen.add(content)
            if isinstance(fault, OSError):
                assert {entry.name for entry in tmp_path.iterdir()} <= {"file"}  # no temporary file is left
            write_atomically(path, NEW)  # whatever is left of it does not stop the next one
            assert path.read_bytes() == NEW
        else:
            assert faults.disarm() < at
            assert path.read_bytes() == NEW
            assert at > 5  # open, write, fsync, replace, and the folder's open and fsync
            assert seen == {before, NEW}
            return
    pytest.fail("the operations never ran out")


def test_content_reaches_the_disk_before_the_name_and_the_name_after(tmp_path, monkeypatch):
    order = []
    fsync, replace = os.fsync, Path.replace

    def watched(name, original):
        def run(*arguments):
            order.append(name)
            return original(*arguments)

        return run

    monkeypatch.setattr(os, "fsync", watched("fsync", fsync))
    monkeypatch.setattr(Path, "replace", watched("replace", replace))
    write_atomically(tmp_path / "file", NEW)
    assert order == ["fsync", "replace", "fsync"]


@pytest.mark.parametrize("fault", [NO_SPACE, Crash()], ids=["full disk", "crash"])
def test_move_that_fails_anywhere_leaves_the_folder_whole_in_one_place(tmp_path, faults, fault):
    destination = tmp_path / "final" / "place"
    for at in range(1, 50):
        folder = tmp_path / f"building{at}"
        faults.disarm()
        (folder / "deep").mkdir(parents=True)
        (folder / "deep" / "file").write_bytes(NEW)
        faults.arm(at, fault)
        try:
            move_into_place(folder, destination)
        except (ArtifactError, Crash):
            faults.disarm()
            assert folder.exists() != destination.exists()
            whole = destination if destination.exists() else folder
            assert (whole / "deep" / "file").read_bytes() == NEW
            if destination.exists():
                destination.rename(tmp_path / f"moved{at}")
        else:
            assert faults.disarm() < at
            assert at > 4
            assert (destination / "deep" / "file").read_bytes() == NEW
            return
    pytest.fail("the operations never ran out")


def test_move_never_replaces_what_is_there(tmp_path):
    for name in ("new", "old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    with pytest.raises(ArtifactError, match="old cannot be written"):
        move_into_place(tmp_path / "new", tmp_path / "old")
    assert (tmp_path / "old" / "file").read_text() == "old"
    assert (tmp_path / "new" / "file").read_text() == "new"


@pytest.mark.parametrize("parent", ["missing", "file"])
def test_write_where_there_is_no_folder_is_an_error_of_one_line(tmp_path, parent):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ArtifactError, match=f"{parent}/x cannot be written: (No such file|Not a directory)"):
        write_atomically(tmp_path / parent / "x", NEW)


def test_a_renamed_folder_reaches_the_disk_under_both_its_names(tmp_path, monkeypatch):
    synced = watch_syncs(monkeypatch)
    (tmp_path / "from" / "it").mkdir(parents=True)
    rename(tmp_path / "from" / "it", tmp_path / "to" / "that")
    assert (tmp_path / "to" / "that").is_dir()
    assert synced == [tmp_path, tmp_path / "to", tmp_path / "from"]  # the first for the new folder's own name


def test_a_new_folder_reaches_the_disk_with_all_that_lead_to_it(tmp_path, monkeypatch):
    synced = watch_syncs(monkeypatch)
    make_folder(tmp_path / "a" / "b" / "c")
    assert (tmp_path / "a" / "b" / "c").is_dir()
    assert synced == [tmp_path, tmp_path / "a", tmp_path / "a" / "b"]
    make_folder(tmp_path / "a" / "b" / "c")
    assert len(synced) == 3


def test_a_write_that_is_killed_again_and_again_leaves_one_temporary_file_at_most(tmp_path, faults):
    for at in (2, 3, 4):
        faults.arm(at, Crash())
        with pytest.raises(Crash):
            write_atomically(tmp_path / "file", NEW)
        faults.disarm()
        assert len([path for path in tmp_path.iterdir() if path.name != "file"]) <= 1
    write_atomically(tmp_path / "file", NEW)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def watch_syncs(monkeypatch) -> list[Path]:
    synced: list[Path] = []
    original = atomic.sync

    def watched(path: Path) -> None:
        synced.append(path)
        original(path)

    monkeypatch.setattr(atomic, "sync", watched)
    return synced
