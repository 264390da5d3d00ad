"""How long ago something in the home folder was last used: its time of modification, and that of all that is in it."""

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class DiskUsage:
    """A file, or a folder with all that is in it.

    Attributes:
        bytes: Size of the files.
        modified: The latest time of modification, in seconds since 1970.
    """

    bytes: int
    modified: float


def disk_usage(path: Path) -> DiskUsage:
    """Measure a file or a folder. Links are not followed.

    Args:
        path: What to measure.

    Returns:
        Its size and time; 0 for both where there is nothing.
    """
    size, modified = 0, 0.0
    for each in _walk(path):
        try:
            status = each.lstat()
        except FileNotFoundError:
            continue  # it went while we looked
        size += 0 if each.is_dir() else status.st_size
        modified = max(modified, status.st_mtime)
    return DiskUsage(size, modified)


def mark_used(path: Path) -> None:
    """Note that a file is used now. A clock that was set back does not make it older.

    Args:
        path: A file of the home folder. If it cannot be marked, it is only removed the sooner.
    """
    with contextlib.suppress(OSError):  # there is no such file, or the home folder is read-only
        if path.stat().st_mtime < time.time():
            os.utime(path)


def _walk(path: Path) -> Iterator[Path]:
    yield path
    if path.is_dir() and not path.is_symlink():
        yield from path.rglob("*")
