"""Which files a path, a glob or a URL means, on this machine and in an object store, and how their content is known."""

import glob
import hashlib
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import fs

from thaw.pipeline_config.errors import DatasetError, DownloadError
from thaw.tasks.artifacts.file_digests import FileDigests
from thaw.tasks.ingest.sources.table_files import digest_files, find_files, resolve

THEN = datetime(2024, 5, 1, tzinfo=UTC)


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def names(*places: Any) -> list[str]:
    return [file.name for file in find_files(places[0] if len(places) == 1 else [*places])]


def digest(files: Any, home: Path = Path("there is no such home")) -> str:
    return digest_files(files, FileDigests(home))


class Store:
    """An object store in memory, in the place of the one that a URL names."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, filesystem: fs.FileSystem) -> None:
        self.filesystem = filesystem
        self.asked: list[str] = []
        monkeypatch.setattr(fs, "FileSystem", self)

    def from_uri(self, address: str) -> tuple[fs.FileSystem, str]:
        self.asked.append(address)
        return self.filesystem, address.partition("?")[0].removeprefix("s3://").rstrip("/")

    def put(self, path: str, content: bytes) -> None:
        self.filesystem.create_dir(path.rpartition("/")[0])
        with self.filesystem.open_output_stream(path) as stream:
            stream.write(content)


class Timeless(fs.FileSystemHandler):
    """A store that does not say when an object was written, and may be out of reach."""

    def __init__(self, inner: fs.FileSystem) -> None:
        self.inner, self.is_there = inner, True

    def _seen(self, info: fs.FileInfo) -> fs.FileInfo:
        return fs.FileInfo(info.path, info.type, size=info.size)

    def get_file_info(self, paths: list[str]) -> list[fs.FileInfo]:
        return [self._seen(info) for info in self.inner.get_file_info(paths)]

    def get_file_info_selector(self, selector: fs.FileSelector) -> list[fs.FileInfo]:
        return [self._seen(info) for info in self.inner.get_file_info(selector)]

    def open_input_stream(self, path: str) -> Any:
        if not self.is_there:
            raise OSError("the store\ndoes not answer")
        return self.inner.open_input_stream(path)

    def get_type_name(self) -> str:
        return "timeless"

    def normalize_path(self, path: str) -> str:
        return path

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Timeless) and other.inner.equals(self.inner)

    def __hash__(self) -> int:
        return hash(self.get_type_name())

    def _unused(self, *arguments: Any) -> None:
        pytest.fail("a table is only read")

    open_input_file = open_output_stream = open_append_stream = _unused
    create_dir = delete_dir = delete_dir_contents = delete_root_dir_contents = delete_file = move = copy_file = _unused


# --- paths and globs


def test_a_glob_means_the_files_that_match_it_in_the_order_of_their_names(tmp_path):
    touch(tmp_path, "b.parquet", "a.parquet", ".c.parquet", "a.csv", "deep/d.parquet")
    assert names(f"{tmp_path}/*.parquet") == ["a.parquet", "b.parquet"]
    assert names(f"{tmp_path}/?.parquet", f"{tmp_path}/a.*") == ["a.csv", "a.parquet", "b.parquet"]
    assert names(f"{tmp_path}/[b-z].parquet") == ["b.parquet"]
    assert names(f"{tmp_path}/.*") == [".c.parquet"]


def test_a_glob_may_reach_into_folders(tmp_path):
    touch(
        tmp_path, "top.parquet", "en/a.parquet", "en/x/b.parquet", "fr/a.parquet", ".git/a.parquet", "en/.x/c.parquet"
    )
    assert names(f"{tmp_path}/*/a.parquet") == ["en/a.parquet", "fr/a.parquet"]
    assert names(f"{tmp_path}/**/*.parquet") == ["en/a.parquet", "en/x/b.parquet", "fr/a.parquet", "top.parquet"]
    assert names(f"{tmp_path}/**/b.parquet") == ["b.parquet"]


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    names = [
        f"{folder}{name}"
        for folder in ("", "a/", "b/", "a/b/", "a/.x/", ".x/", "b/a/a/")
        for name in ("a", "ab.c", ".c")
    ]
    return touch(tmp_path_factory.mktemp("tree"), *(name.replace("a/", "a_/").replace("b/", "b_/") for name in names))


PARTS = ["*", "**", "?", "a*", "*_", "[ab]*", "[!a]*", ".*", "*.c", "a_", "b_"]


@given(st.lists(st.sampled_from(PARTS), min_size=1, max_size=4))
def test_globs_mean_what_they_mean_to_python(tree, parts):
    pattern = "/".join([*parts, "*"])  # a wildcard of its own, or a part without any would be a file
    found = glob.glob(f"{tree}/{pattern}", recursive=True)  # noqa: PTH207 - pathlib takes hidden files, too
    expected = {path for path in found if Path(path).is_file()}
    if expected:
        assert {file.path for file in find_files(f"{tree}/{pattern}")} == expected
    else:
        with pytest.raises(DatasetError, match="No file matches"):
            find_files(f"{tree}/{pattern}")


def test_a_file_whose_name_has_a_wildcard_is_that_file(tmp_path):
    touch(tmp_path, "a[1].parquet", "a1.parquet", "with space.parquet")
    assert names(f"{tmp_path}/a[1].parquet") == ["a[1].parquet"]
    assert names(f"{tmp_path}/with space.parquet") == ["with space.parquet"]


def test_names_begin_below_the_folder_that_all_files_share(tmp_path):
    touch(tmp_path, "data/en/train.parquet", "data/fr/train.parquet")
    assert names(f"{tmp_path}/data/en/train.parquet") == ["train.parquet"]
    assert names(f"{tmp_path}/data/fr/*", f"{tmp_path}/data/en/*") == ["en/train.parquet", "fr/train.parquet"]


def test_a_file_that_is_named_twice_counts_once_and_in_two_splits_not_at_all(tmp_path):
    touch(tmp_path, "a.parquet", "b.parquet")
    assert names(f"{tmp_path}/a.parquet", f"{tmp_path}/*") == ["a.parquet", "b.parquet"]
    with pytest.raises(DatasetError, match=r"a\.parquet is in the splits train and test\. Expected one split a file"):
        find_files({"train": f"{tmp_path}/*", "test": f"{tmp_path}/a.parquet"})


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("none.parquet", r"There is no file .*none\.parquet\. Expected a Parquet file, or a glob"),
        ("*.arrow", r"No file matches .*\*\.arrow\. Expected at least one"),
        ("nowhere/*.parquet", r"No file matches"),
        ("folder", r"folder is a folder\. Expected files; for all in it, write .*folder/\*\.parquet\."),
        ("folder/", r"folder/ is a folder\. Expected files; for all in it, write .*folder/\*\.parquet\."),
    ],
)
def test_a_place_without_files_is_an_error(tmp_path, place, message):
    touch(tmp_path, "folder/a.parquet")
    with pytest.raises(DatasetError, match=message):
        find_files(f"{tmp_path}/{place}")


# --- URLs


def test_a_file_url_is_a_path_of_this_machine(tmp_path):
    touch(tmp_path, "a.parquet", "b.parquet")
    filesystem, path = resolve(f"file://{tmp_path}/*.parquet")
    assert (filesystem.type_name, path) == ("local", f"{tmp_path}/*.parquet")
    by_url, by_path = find_files(f"file://{tmp_path}/*.parquet"), find_files(f"{tmp_path}/*.parquet")
    assert [file.name for file in by_url] == [file.name for file in by_path] == ["a.parquet", "b.parquet"]
    assert digest(by_url) == digest(by_path)


@pytest.mark.parametrize("address", ["nonsense://bucket/a.parquet", "s3:///a.parquet", "file://relative/a.parquet"])
def test_a_url_that_pyarrow_does_not_know_is_an_error(address):
    with pytest.raises(
        DatasetError, match=r"is no address that pyarrow can read: .*Expected a path, or a URL such as s3:"
    ):
        find_files(address)


def test_a_store_out_of_reach_is_a_download_that_failed(monkeypatch):
    def from_uri(address):
        raise OSError("When resolving region for bucket 'b':\ncurlCode: 6")

    monkeypatch.setattr(fs, "FileSystem", SimpleNamespace(from_uri=from_uri))
    with pytest.raises(
        DownloadError, match=r"^s3://b/\*\.parquet: When resolving region for bucket 'b': curlCode: 6\. "
    ):
        find_files("s3://b/*.parquet")


def test_objects_are_found_by_globs_and_options_of_the_store_are_passed_on(monkeypatch):
    store = Store(monkeypatch, fs._MockFileSystem(THEN))
    for name in ("train/0.parquet", "train/1.parquet", "test/0.parquet"):
        store.put(f"bucket/data/{name}", name.encode())
    found = find_files(
        {"train": "s3://bucket/data/train/*.parquet?region=eu-west-3", "test": "s3://bucket/data/test/*"}
    )
    assert [(file.name, file.split) for file in found] == [
        ("test/0.parquet", "test"),
        ("train/0.parquet", "train"),
        ("train/1.parquet", "train"),
    ]
    assert store.asked == ["s3://bucket/data/train/?region=eu-west-3", "s3://bucket/data/test/"]


def test_files_and_objects_do_not_mix(monkeypatch, tmp_path):
    store = Store(monkeypatch, fs._MockFileSystem(THEN))
    store.put("bucket/a.parquet", b"a")
    touch(tmp_path, "b.parquet")
    with pytest.raises(DatasetError, match="different places"):
        find_files(["s3://bucket/a.parquet", f"{tmp_path}/b.parquet"])


# --- the content


def test_an_object_is_known_by_its_size_and_time_and_is_not_read(monkeypatch):
    def seen(when: datetime, content: bytes) -> str:
        store = Store(monkeypatch, fs._MockFileSystem(when))
        store.put("bucket/a.parquet", content)
        return digest(find_files("s3://bucket/a.parquet"))

    monkeypatch.setattr(hashlib, "file_digest", lambda *_: pytest.fail("it is read"))
    assert seen(THEN, b"one") == seen(THEN, b"two")
    assert len({seen(THEN, b"one"), seen(THEN, b"three"), seen(datetime(2024, 5, 2, tzinfo=UTC), b"one")}) == 3


def test_an_object_without_a_time_is_read(monkeypatch):
    handlers = [Timeless(fs._MockFileSystem(THEN)), Timeless(fs._MockFileSystem(datetime(2020, 1, 1, tzinfo=UTC)))]
    digests = []
    for handler, content in zip([*handlers, handlers[0]], [b"one", b"one", b"two"], strict=True):
        Store(monkeypatch, handler.inner).put("bucket/a.parquet", content)
        Store(monkeypatch, fs.PyFileSystem(handler))
        digests.append(digest(find_files("s3://bucket/a.parquet")))
    assert digests[0] == digests[1] != digests[2]
    handlers[0].is_there = False
    with pytest.raises(DownloadError, match=r"^bucket/a\.parquet cannot be read: the store does not answer\. Check"):
        digest(find_files("s3://bucket/a.parquet"))


def test_a_local_file_that_cannot_be_read_is_named(tmp_path):
    touch(tmp_path, "a.parquet")
    files = find_files(f"{tmp_path}/a.parquet")
    (tmp_path / "a.parquet").unlink()
    with pytest.raises(
        DatasetError, match=r"a\.parquet cannot be read: No such file or directory\. Repair or remove it"
    ):
        digest(files)
