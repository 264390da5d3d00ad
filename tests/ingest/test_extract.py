"""Unpacking: all formats alike, and of a hostile archive nothing, inside or outside."""

import contextlib
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.ingest.archives import FORMATS, HOSTILE, add, pack
from tests.ingest.pictures import Recorder
from thaw.pipeline_config.errors import ArtifactError, DatasetError
from thaw.tasks.ingest.extract import Limits, extract

LIMITS = Limits(members=100, bytes=1_000_000)
FILES = {"top.txt": b"1", "a/": b"", "a/b/c.jpg": b"22", "a/b/d é.jpg": bytes(5000), "empty/": b"", "none": b""}


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_the_same_files(tmp_path, kind):
    report = Recorder()
    facts = extract(pack(tmp_path / "x", FILES, kind), tmp_path / "out", LIMITS, report)
    assert contents(tmp_path / "out") == {name: content for name, content in FILES.items() if name[-1] != "/"}
    assert (tmp_path / "out" / "empty").is_dir()
    assert facts == {"files": 4, "bytes": 5003}
    assert report.told("progress")[-1] == {"done": 1.0, "text": "4 of 4 files unpacked"}


def test_tar_of_the_folder_itself(tmp_path):
    pack(tmp_path / "x", {"./": b"", "./a/": b"", "./a/b": b"1", "./a//c": b"2"}, "tar")
    extract(tmp_path / "x", tmp_path / "out", LIMITS, Recorder())
    assert contents(tmp_path / "out") == {"a/b": b"1", "a/c": b"2"}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_archive_is_refused_whole(tmp_path, name):
    make, reason = HOSTILE[name]
    make(tmp_path / "x")
    (tmp_path / "deep").mkdir()
    before = contents(tmp_path)
    with pytest.raises(
        DatasetError, match=f"The archive is refused, and nothing of it is used: .*({reason})"
    ) as caught:
        extract(tmp_path / "x", tmp_path / "deep" / "out", LIMITS, Recorder())
    assert "\n" not in str(caught.value)
    assert {path: content for path, content in contents(tmp_path).items() if not path.startswith("deep/out/")} == before


@pytest.mark.parametrize("name", [name for name in HOSTILE if name != "larger than it states"])
def test_hostile_archive_is_refused_before_anything_is_written(tmp_path, name):
    HOSTILE[name][0](tmp_path / "x")
    with pytest.raises(DatasetError):
        extract(tmp_path / "x", tmp_path / "out", LIMITS, Recorder())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", FORMATS)
def test_limits_are_exact(tmp_path, kind):
    pack(tmp_path / "x", {"a": bytes(600), "b": bytes(400)}, kind)
    extract(tmp_path / "x", tmp_path / "out", Limits(2, 1000), Recorder())
    for limits, reason in ((Limits(1, 1000), "more than 1 members"), (Limits(2, 999), "more than 999 bytes")):
        with pytest.raises(DatasetError, match=reason):
            extract(tmp_path / "x", tmp_path / "again", limits, Recorder())


def test_gigabytes_behind_a_small_gzip_are_not_unpacked(tmp_path):
    with tarfile.open(tmp_path / "x", "w:gz", compresslevel=9) as tar:
        info = tarfile.TarInfo("cats/a.jpg")
        info.size = 200_000_000
        with Path("/dev/zero").open("rb") as zeros:
            tar.addfile(info, zeros)
        add(tar, "cats/b.jpg")
    with pytest.raises(DatasetError, match="more than 1000000 bytes"):
        extract(tmp_path / "x", tmp_path / "out", LIMITS, Recorder())


@pytest.mark.parametrize("content", [b"PK\x03\x04", b"\x1f\x8b", b"BZh9", b"\xfd7zXZ\0", b"GIF89a" + bytes(600)])
def test_what_is_no_archive_is_refused(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(DatasetError, match="no whole zip file and no whole tar file"):
        extract(tmp_path / "x", tmp_path / "out", LIMITS, Recorder())


@pytest.mark.parametrize("files", [{}, {"a/": b"", "b/c/": b""}], ids=["nothing", "folders"])
@pytest.mark.parametrize("kind", FORMATS)
def test_an_archive_that_holds_no_file_is_refused(tmp_path, kind, files):
    with pytest.raises(DatasetError, match=r"^The archive is refused, .*: it holds no files, expected images"):
        extract(pack(tmp_path / "x", files, kind), tmp_path / "out", LIMITS, Recorder())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", FORMATS)
def test_truncated_archive_is_refused_wherever_it_ends(tmp_path, kind):
    content = pack(tmp_path / "x", {"a/b.jpg": b"1" * 700, "a/c.jpg": b"2" * 100}, kind).read_bytes()
    if kind == "tar":
        content = content.rstrip(b"\0")
    for number, end in enumerate(range(0, len(content), max(len(content) // 40, 1))):
        (tmp_path / "x").write_bytes(content[:end])
        with pytest.raises(DatasetError):
            extract(tmp_path / "x", tmp_path / f"out{number}", LIMITS, Recorder())


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(list(FORMATS)), place=st.integers(0, 10**6), byte=st.integers(0, 255), data=st.data())
def test_an_altered_archive_is_refused_or_unpacked_and_nothing_else(tmp_path_factory, kind, place, byte, data):
    folder = tmp_path_factory.mktemp("altered")
    content = bytearray(pack(folder / "x", {"a/b.jpg": b"1" * 700, "../c": b"2"}, kind).read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[place % len(content)] = byte
        place += data.draw(st.integers(1, 600))
    (folder / "x").write_bytes(content)
    with contextlib.suppress(DatasetError, ArtifactError):  # any other error is a fault
        extract(folder / "x", folder / "out", LIMITS, Recorder())
    assert {path.name for path in folder.iterdir()} <= {"x", "out"}


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    pack(tmp_path / "x", {"a": b"1"})
    (tmp_path / "out").write_bytes(b"")
    with pytest.raises(ArtifactError, match="out cannot be written: File exists"):
        extract(tmp_path / "x", tmp_path / "out", LIMITS, Recorder())
