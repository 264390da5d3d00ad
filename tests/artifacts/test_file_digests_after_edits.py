"""Whatever is done to a folder of images, its digest is the same with the memory of digests as without."""

import os
import random
import shutil
import time
from pathlib import Path

import pytest

from tests.ingest.pictures import digest_afresh, directory
from thaw.tasks.artifacts import file_digests
from thaw.tasks.home import Home
from thaw.tasks.ingest.sources import content_digest


class Folder:
    """A folder of two to five classes, and the things that people do to it."""

    def __init__(self, top: Path, source: random.Random) -> None:
        self.top, self.random, self.count = top, source, 0
        for name in ("cats", "dogs"):
            (top / name).mkdir(parents=True)
            for _ in range(4):
                self.add(top / name)

    def add(self, folder: Path | None = None) -> None:
        self.count += 1
        folder = folder or self.random.choice(self.folders())
        (folder / f"{self.count:04}.png").write_bytes(self.random.randbytes(64))

    def folders(self) -> list[Path]:
        return sorted(path for path in self.top.iterdir() if any(path.iterdir()))

    def any_file(self) -> Path:
        return self.random.choice(sorted(path for path in self.top.rglob("*") if path.is_file()))

    def rewrite(self) -> None:
        self.any_file().write_bytes(self.random.randbytes(64))

    def append(self) -> None:
        with self.any_file().open("ab") as file:
            file.write(b"more")

    def rewrite_and_set_time_back(self) -> None:
        path = self.any_file()
        before = path.stat()
        path.write_bytes(self.random.randbytes(before.st_size))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    def replace(self) -> None:
        path = self.any_file()
        other = path.with_name("other")
        other.write_bytes(self.random.randbytes(path.stat().st_size))
        os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
        other.replace(path)

    def swap(self) -> None:
        one, other, aside = self.any_file(), self.any_file(), self.top.parent / "aside"
        one.rename(aside)
        if one != other:
            other.rename(one)
        aside.rename(other)

    def delete(self) -> None:
        path = self.any_file()
        if len(list(path.parent.iterdir())) > 1:
            path.unlink()

    def rename_folder(self) -> None:
        self.count += 1
        self.random.choice(self.folders()).rename(self.top / f"class{self.count}")

    def copy_folder(self) -> None:
        if len(self.folders()) < 5:
            self.count += 1
            shutil.copytree(self.random.choice(self.folders()), self.top / f"copy{self.count}")

    def exchange_folders(self) -> None:
        one, other, aside = *self.random.sample(self.folders(), 2), self.top.parent / "aside"
        one.rename(aside)
        other.rename(one)
        aside.rename(other)

    def touch(self) -> None:
        self.any_file().touch()


EDITS_OF_FOLDERS = [name for name in vars(Folder) if not name.startswith("_") and name not in ("folders", "any_file")]


@pytest.mark.parametrize("seed", range(4))
def test_after_any_edits_the_memory_says_what_reading_says(tmp_path, monkeypatch, seed):
    # The margin is scaled down with the pauses between edits: some files are remembered, and some are too young.
    monkeypatch.setattr(file_digests, "_SETTLED_AFTER_NS", 30_000_000)
    source = random.Random(seed)
    folder = Folder(tmp_path / "data", source)
    home = tmp_path / "home"
    home.mkdir()
    config, asked, read = directory(folder.top), 0, 0
    original = file_digests._hash

    def watched(place):
        nonlocal read
        read += 1
        return original(place)

    for _ in range(80):
        for _ in range(source.randint(0, 2)):
            getattr(folder, source.choice(EDITS_OF_FOLDERS))()
        time.sleep(source.choice([0, 0, 0.005, 0.02, 0.05]))
        with monkeypatch.context() as patch:
            patch.setattr(file_digests, "_hash", watched)
            remembered = content_digest(config, Home.open(home))
        asked += sum(path.is_file() for path in folder.top.rglob("*"))
        assert remembered == digest_afresh(config)
    assert asked - read > 100  # that many files were not read
