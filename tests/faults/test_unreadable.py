"""What cannot be read for a reason of the machine is an error that says so; it is not taken for damage or absence."""

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cleanup import homes
from tests.faults.reading import FailingReads
from tests.support import silent_reporter, write_pictures
from thaw.pipeline_config.dataset_schema import DirectorySource
from thaw.pipeline_config.errors import UnreadableError
from thaw.tasks.artifacts.file_digests import MEMORY_NAME, FileDigests
from thaw.tasks.cleanup.collect import collect_garbage
from thaw.tasks.cleanup.kept import Limits
from thaw.tasks.home import Home
from thaw.tasks.ingest.scan import scan_images
from thaw.tasks.ingest.sources import open_source

CODES = [
    *(errno.EMFILE, errno.ENFILE, errno.EACCES, errno.EPERM, errno.EIO),
    *(errno.ENOMEM, errno.ESTALE, errno.ETIMEDOUT, errno.EINTR, errno.EBUSY),
]
_OF_THE_MACHINE = [code for code in CODES if code not in {errno.EACCES, errno.EPERM}]
_MOST_READS = 400


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, homes.Run]:
    """A home folder with a champion and nothing to remove, made long ago."""
    home: Path = tmp_path_factory.mktemp("unreadable") / "home"
    run = homes.run(home, "digits", "a", 0.9)
    homes.let_time_pass(home)
    return home, run


def look_up(home: Path, run: homes.Run) -> None:
    for key, ref in run.refs.items():
        assert Home.open(home).store.look_up(key) == ref


def peek(home: Path, run: homes.Run) -> None:
    for key, ref in run.refs.items():
        assert Home.open(home).store.peek(key) == (ref, None)


def verify(home: Path, run: homes.Run) -> None:
    Home.open(home).registry.verify(run.release)


def mend(home: Path, run: homes.Run) -> None:
    Home.open(home).registry.mend()
    assert Home.open(home).registry.champions() == {"digits": run.release}


def collect(home: Path, run: homes.Run) -> None:
    del run
    collected = collect_garbage(Home.open(home), Limits(1, young_after=time.time()), dry_run=False)
    assert collected.garbage == []


def contents(home: Path) -> dict[str, bytes]:
    """What a home folder holds, but for locks and for what is only remembered."""
    return {name: (home / name).read_bytes() for name in homes.files_in(home) - {MEMORY_NAME}}


def error_of(action: Callable[[Path, homes.Run], None], home: Path, run: homes.Run) -> Exception | None:
    try:
        action(home, run)
    except Exception as error:  # noqa: BLE001 (whatever it is, it is looked at)
        return error
    return None


# Each reason in turn, one a reading; the slow ones try every reason at every reading.
@pytest.mark.parametrize(
    "codes", [CODES, *(pytest.param([code], marks=pytest.mark.slow, id=errno.errorcode[code]) for code in CODES)]
)
@pytest.mark.parametrize("action", [look_up, peek, verify, mend, collect])
def test_whatever_cannot_be_read_nothing_is_set_aside_and_the_error_says_why(
    finished: tuple[Path, homes.Run], action: Callable[[Path, homes.Run], None], codes: list[int]
) -> None:
    home, run = finished
    before, refused = contents(home), 0
    for nth in range(1, _MOST_READS):
        code = codes[nth % len(codes)]
        with pytest.MonkeyPatch.context() as patch:
            reads = FailingReads(home, code, nth)
            reads.install(patch)
            error = error_of(action, home, run)
        assert contents(home) == before, (nth, "something was changed")
        assert error is None or os.strerror(code) in str(error), (nth, repr(error))
        refused += isinstance(error, UnreadableError)
        if not reads.has_failed:
            assert refused > 2
            return
    pytest.fail("the readings do not end")


@pytest.mark.parametrize("code", _OF_THE_MACHINE, ids=errno.errorcode.get)
def test_an_image_that_the_machine_cannot_read_now_is_an_error_and_not_left_out(tmp_path: Path, code: int) -> None:
    data = write_pictures(tmp_path / "data", each=2)
    source = open_source(DirectorySource(kind="directory", path=str(data)), Home.open(tmp_path / "home"))
    assert source.count() == 4  # which lists the folders
    with pytest.MonkeyPatch.context() as patch:
        FailingReads(data, code, 1).install(patch)
        with pytest.raises(UnreadableError, match=rf"/00\d\.png cannot be read: {os.strerror(code)}"):
            scan_images(source, 10**6, {}, silent_reporter())
    with pytest.MonkeyPatch.context() as patch:
        FailingReads(data, code, 1).install(patch)
        with pytest.raises(UnreadableError, match=f"blue/000.png cannot be read: {os.strerror(code)}"):
            source.content_digest(FileDigests(tmp_path / "home"))


def test_an_image_that_its_owner_hides_counts_as_unreadable(tmp_path: Path) -> None:
    data = write_pictures(tmp_path / "data", each=2)
    source = open_source(DirectorySource(kind="directory", path=str(data)), Home.open(tmp_path / "home"))
    assert source.count() == 4
    with pytest.MonkeyPatch.context() as patch:
        FailingReads(data, errno.EACCES, 1).install(patch)
        readable, unreadable = scan_images(source, 10**6, {}, silent_reporter())
    assert len(readable) == 3
    assert [image.reason for image in unreadable] == ["Permission denied"]
