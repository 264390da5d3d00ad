"""Writes that are whole or absent: a temporary sibling, fsync, rename. Standard library only.

What cannot be written (no space, no permission) raises ArtifactError.
"""

import contextlib
import fcntl
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from thaw.tasks.artifacts.refusals import writing


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file so that a reader, or the next run after a crash, sees the old content or the new, never a part.

    Its folder must exist. Of several processes that write it at once, one is the last.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    with writing(path):
        try:
            with _opened_alone(temporary) as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                temporary.replace(path)
            sync(path.parent)
        except OSError:
            with contextlib.suppress(OSError):  # the first error is the one to tell
                temporary.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def _opened_alone(temporary: Path) -> Iterator[BinaryIO]:
    """Open a file to write it from its beginning, while nobody else does: its name is the same for all."""
    while True:
        with temporary.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            # While this one waited, the other may have given the file its final name.
            if _has_name(file, temporary):
                file.truncate(0)
                yield file
                return


def _has_name(file: BinaryIO, path: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    return False


def move_into_place(folder: Path, destination: Path) -> None:
    """Make a finished folder visible under its final name, after every file in it has reached the disk.

    The destination must not exist, and lies on the same file system.
    """
    with writing(destination):
        for path in folder.rglob("*"):
            sync(path)
        sync(folder)
    rename(folder, destination)


def rename(path: Path, destination: Path) -> None:
    """Give a file or a folder another name, and wait until the disk knows it under the new name and not the old.

    The destination lies on the same file system; its folder is made if it is missing.
    """
    make_folder(destination.parent)
    with writing(destination):
        path.rename(destination)
        sync(destination.parent)
        if path.parent != destination.parent:
            sync(path.parent)


def set_aside(home: Path, path: Path) -> Path:
    """Move what is damaged into the home's quarantine, below its folder's name and with a number; returns its place."""
    folder = home / "quarantine" / path.parent.name
    places = (folder / f"{path.name}.{number}" for number in itertools.count(1))
    place = next(place for place in places if not place.exists())
    rename(path, place)
    return place


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, where they are missing, so that they outlive a loss of power."""
    with writing(folder):
        missing = [place for place in (folder, *folder.parents) if not place.exists()]
        for place in reversed(missing):
            place.mkdir(exist_ok=True)  # another process may be making it at this moment
            sync(place.parent)


def sync(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, has reached the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
