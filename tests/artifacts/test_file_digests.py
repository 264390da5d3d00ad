"""The memory of digests: quick where nothing changed, and never wrong, whatever happens to it or to the files."""

import hashlib
import multiprocessing
import os
import sqlite3
import time
from pathlib import Path

import pytest

from tests.ingest.pictures import directory
from thaw.pipeline_config.errors import ArtifactError
from thaw.tasks.artifacts import file_digests
from thaw.tasks.artifacts.file_digests import MEMORY_NAME, FileDigests
from thaw.tasks.home import Home
from thaw.tasks.ingest.sources import content_digest

FORK = multiprocessing.get_context("fork")  # quick; these processes hold no threads and no TensorFlow
DAY = 86_400_000_000_000  # nanoseconds


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def home(tmp_path):
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def files(tmp_path):
    """Twenty files of one size."""
    (tmp_path / "files").mkdir()
    paths = [tmp_path / "files" / f"{number:02}" for number in range(20)]
    for number, path in enumerate(paths):
        path.write_bytes(b"content %02d" % number)
    return paths


@pytest.fixture
def read(monkeypatch):
    """The files that were really read, in order."""
    seen: list[Path] = []
    original = file_digests._hash

    def watched(place):
        seen.append(Path(os.fsdecode(place)))
        return original(place)

    monkeypatch.setattr(file_digests, "_hash", watched)
    return seen


@pytest.fixture
def at_once(monkeypatch):
    """Files are remembered as soon as they are written, so that no test has to wait."""
    monkeypatch.setattr(file_digests, "_SETTLED_AFTER_NS", 0)


# -------------------------------------------------------------------------------------------------- what is remembered


def test_files_that_did_not_change_are_not_read_again(home, files, read, at_once):
    expected = [sha256(path) for path in files]
    assert FileDigests(home).sha256_of(files) == expected
    assert sorted(read) == files
    read.clear()
    assert FileDigests(home).sha256_of(list(map(str, reversed(files)))) == expected[::-1]
    assert read == []


EDITS = {
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"!"),
    "of equal length": lambda path: path.write_bytes(path.read_bytes()[::-1]),
    "of equal length, with its time set back": lambda path: edit_and_set_time_back(path),
    "replaced by another file": lambda path: replace(path),
    "touched": lambda path: path.touch(),
}


def edit_and_set_time_back(path: Path) -> None:
    before = path.stat()
    path.write_bytes(path.read_bytes()[::-1])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns


def replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(path.read_bytes()[::-1])
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    other.replace(path)


@pytest.mark.parametrize("edit", EDITS)
def test_a_file_that_changed_is_read_again_and_no_other(home, files, read, at_once, edit):
    digests = FileDigests(home)
    digests.sha256_of(files)
    read.clear()
    time.sleep(0.02)  # longer than a tick of the kernel's clock for files
    EDITS[edit](files[7])
    assert digests.sha256_of(files) == [sha256(path) for path in files]
    assert read == [files[7]]


def test_a_link_that_points_elsewhere_now_is_read_again(home, files, read, at_once, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(files[0])
    assert FileDigests(home).sha256_of([link]) == [sha256(files[0])]
    link.unlink()
    link.symlink_to(files[1])
    assert FileDigests(home).sha256_of([link]) == [sha256(files[1])]


def test_a_file_that_cannot_be_read_is_an_answer_and_no_end(home, files, at_once):
    digests = FileDigests(home)
    digests.sha256_of(files)
    files[3].unlink()
    files[4].unlink()
    os.mkfifo(files[4])
    files[5].unlink()
    files[5].mkdir()
    answers = digests.sha256_of(files)
    assert [type(answer) for answer in answers[3:6]] == [FileNotFoundError, OSError, OSError]
    assert answers[6:] == [sha256(path) for path in files[6:]]


def test_names_of_any_bytes_and_relative_paths_are_files_too(home, files, read, at_once, monkeypatch):
    strange = files[0].with_name(os.fsdecode(b"\xff\n'\"%;"))
    files[0].rename(strange)
    monkeypatch.chdir(strange.parent)
    for _ in range(2):
        assert FileDigests(home).sha256_of([strange, strange.name, "01"]) == [
            *[sha256(strange)] * 2,
            sha256(files[1]),
        ]
    assert len(read) == 3


def test_where_there_is_no_home_nothing_is_made(tmp_path, files):
    assert FileDigests(tmp_path / "none").sha256_of(files) == [sha256(path) for path in files]
    FileDigests(tmp_path / "none").forget()
    assert not (tmp_path / "none").exists()


def test_what_is_forgotten_is_read_again(home, files, read, at_once):
    digests = FileDigests(home)
    digests.sha256_of(files)
    FileDigests(home).forget()
    read.clear()
    digests.sha256_of(files)
    assert sorted(read) == files


def test_a_memory_that_cannot_be_forgotten_is_an_error(home, files):
    (home / MEMORY_NAME).mkdir()
    with pytest.raises(ArtifactError, match=r"file-digests\.sqlite cannot be removed: .*--verify"):
        FileDigests(home).forget()


# ---------------------------------------------------------------------------------------------------------------- time


def test_a_file_that_was_just_written_is_not_remembered(home, files, read):
    for _ in range(2):
        FileDigests(home).sha256_of(files[:1])
    assert read == files[:1] * 2
    assert not (home / MEMORY_NAME).exists()


def test_a_file_that_changes_while_it_is_read_is_not_remembered(home, files, read, at_once, monkeypatch):
    original = hashlib.file_digest

    def slow(file, name):
        digest = original(file, name)
        time.sleep(0.02)
        edit_and_set_time_back(files[0])
        return digest

    with monkeypatch.context() as patch:
        patch.setattr(hashlib, "file_digest", slow)
        FileDigests(home).sha256_of(files[:1])
    assert FileDigests(home).sha256_of(files[:1]) == [sha256(files[0])]
    assert read == files[:1] * 2


def test_two_edits_within_one_tick_of_a_coarse_clock_are_both_seen(home, files, monkeypatch):
    """A file system that counts in steps of two seconds, as FAT: both edits leave the same size, times and inode."""
    original = file_digests._identity

    def coarse(status):
        identity = original(status)
        tick = identity.newest // 2_000_000_000 * 2_000_000_000
        return file_digests._Identity(identity.packed[:8] + tick.to_bytes(8) + identity.packed[24:], tick)

    monkeypatch.setattr(file_digests, "_identity", coarse)
    digests = FileDigests(home)
    begin = time.monotonic()
    for count in range(1000):
        files[0].write_bytes(b"edit %04d" % count)
        assert digests.sha256_of(files[:1]) == [sha256(files[0])]
        if time.monotonic() - begin > 2.5:  # longer than a tick
            break
        time.sleep(0.005)
    time.sleep(2)
    digests.sha256_of(files[:1])
    assert (home / MEMORY_NAME).exists()  # at last it was remembered


@pytest.mark.parametrize("which", ["mtime", "clock"])
def test_times_in_the_future_are_never_trusted(home, files, read, at_once, monkeypatch, which):
    digests = FileDigests(home)
    digests.sha256_of(files[:1])
    now = time.time_ns()
    if which == "mtime":
        os.utime(files[0], ns=(now + DAY, now + DAY))
    else:
        monkeypatch.setattr("time.time_ns", lambda: now - DAY)
    read.clear()
    for _ in range(2):
        assert digests.sha256_of(files[:1]) == [sha256(files[0])]
    assert read == files[:1] * 2


@pytest.mark.parametrize("offset", [-DAY, DAY])
def test_the_clock_a_day_off_changes_no_answer(home, files, at_once, monkeypatch, offset):
    digests = FileDigests(home)
    digests.sha256_of(files)
    clock = time.time_ns
    monkeypatch.setattr("time.time_ns", lambda: clock() + offset)
    time.sleep(0.02)
    edit_and_set_time_back(files[0])
    assert digests.sha256_of(files) == [sha256(path) for path in files]
    monkeypatch.undo()
    time.sleep(0.02)
    edit_and_set_time_back(files[1])
    assert digests.sha256_of(files) == [sha256(path) for path in files]


# -------------------------------------------------------------------------------------- whatever is done to the memory


def flip_bytes(content: bytes, start: int) -> bytes:
    damaged = bytearray(content)
    for position in range(start, len(content), 97):
        damaged[position] ^= 0x21
    return bytes(damaged)


DAMAGES = {
    "emptied": lambda content: b"",
    "no database": lambda content: b"nonsense " * 1000,
    "cut in its header": lambda content: content[:50],
    "cut in its rows": lambda content: content[: len(content) // 2],
    "flipped bytes in its header": lambda content: flip_bytes(content, 0),
    "flipped bytes in its rows": lambda content: content[:4096] + flip_bytes(content[4096:], 5),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_memory_gives_no_wrong_answer_and_begins_anew(home, files, read, at_once, damage):
    expected = [sha256(path) for path in files]
    memory = home / MEMORY_NAME
    FileDigests(home).sha256_of(files)
    memory.write_bytes(DAMAGES[damage](memory.read_bytes()))
    for _ in range(3):
        assert FileDigests(home).sha256_of(files) == expected
    read.clear()
    assert FileDigests(home).sha256_of(files) == expected
    assert read == []


def test_every_flipped_byte_of_the_memory_leaves_the_answers_right(home, files, at_once):
    expected = [sha256(path) for path in files]
    memory = home / MEMORY_NAME
    FileDigests(home).sha256_of(files)
    content = memory.read_bytes()
    rows = [position for position in range(len(content)) if content[position]]
    for position in rows[::29]:
        memory.write_bytes(content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :])
        assert FileDigests(home).sha256_of(files) == expected, position


def test_another_table_of_that_name_is_replaced(home, files, read, at_once):
    with sqlite3.connect(home / MEMORY_NAME) as connection:
        connection.execute("CREATE TABLE files (name TEXT, digest TEXT)")
    connection.close()
    for _ in range(3):
        assert FileDigests(home).sha256_of(files) == [sha256(path) for path in files]
    assert len(read) == len(files)  # the first time


def test_a_folder_in_place_of_the_memory_means_hashing(home, files):
    (home / MEMORY_NAME).mkdir()
    assert FileDigests(home).sha256_of(files) == [sha256(path) for path in files]


@pytest.mark.parametrize("is_there", [True, False])
def test_a_locked_memory_means_hashing(home, files, at_once, monkeypatch, is_there):
    monkeypatch.setattr(file_digests, "_SECONDS_FOR_A_LOCK", 0.05)
    if is_there:
        FileDigests(home).sha256_of(files)
    connection = sqlite3.connect(home / MEMORY_NAME)
    connection.execute("BEGIN EXCLUSIVE")
    try:
        assert FileDigests(home).sha256_of(files) == [sha256(path) for path in files]
    finally:
        connection.close()
    assert (home / MEMORY_NAME).exists()


@pytest.mark.parametrize("trouble", ["read-only", "full", "cannot be opened"])
def test_a_memory_that_cannot_be_written_means_hashing(home, files, read, at_once, monkeypatch, trouble):
    digests = FileDigests(home)
    digests.sha256_of(files[:10])
    original = sqlite3.connect

    def connect(path, **options):
        if trouble == "cannot be opened":
            return original(home / "no" / "such" / "folder", **options)
        connection = original(f"file:{path}?mode=ro" if trouble == "read-only" else path, uri=True, **options)
        connection.execute("PRAGMA max_page_count = 1")
        return connection

    monkeypatch.setattr(sqlite3, "connect", connect)
    many = [*files, *(files[0].with_name(f"more{number}") for number in range(200))]
    for path in many[20:]:
        path.write_bytes(path.name.encode())
    read.clear()
    for _ in range(2):
        assert digests.sha256_of(many) == [sha256(path) for path in many]
    known = 0 if trouble == "cannot be opened" else 10
    assert len(read) == 2 * (len(many) - known)
    monkeypatch.undo()
    assert (home / MEMORY_NAME).exists()


def test_processes_that_use_one_memory_at_once_all_answer_right(home, files, at_once):
    expected, answers, barrier = [sha256(path) for path in files], FORK.Queue(), FORK.Barrier(4)

    def ask(number: int) -> None:
        barrier.wait(20)
        for turn in range(15):
            if number == 0 and turn % 5 == 4:
                FileDigests(home).forget()
            answers.put(FileDigests(home).sha256_of(files) == expected)

    processes = [FORK.Process(target=ask, args=(number,)) for number in range(4)]
    for process in processes:
        process.start()
    assert all(answers.get(timeout=30) for _ in range(60))
    for process in processes:
        process.join(20)
        assert process.exitcode == 0


# ----------------------------------------------------------------------------------------------------------- how quick


@pytest.mark.slow
def test_a_folder_of_40000_unchanged_files_is_scanned_in_less_than_two_seconds(home, tmp_path, at_once):
    for number in range(40):
        folder = tmp_path / "data" / f"class{number:02}"
        folder.mkdir(parents=True)
        for name in range(1000):
            (folder / f"{name:05}.jpg").write_bytes(b"%d %d" % (number, name) * 100)
    config = directory(tmp_path / "data")
    first = content_digest(config, Home.open(home))
    seconds = []
    for _ in range(3):  # the best of three: the machine may be busy with something else
        begin = time.perf_counter()
        assert content_digest(config, Home.open(home)) == first
        seconds.append(time.perf_counter() - begin)
    assert min(seconds) < 2, seconds
