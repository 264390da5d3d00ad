"""How long ago something in the home folder was last used: its time of modification, and that of all that is in it."""

import contextlib
import itertools
import os
import time
from pathlib import Path
from typing import NamedTuple


class DiskUsage(NamedTuple):
    """A file, or a folder with all that is in it."""

    bytes: int
    modified: float  # the latest time of modification, in seconds since 1970


def disk_usage(path: Path) -> DiskUsage:
    """Measure a file or a folder; 0 for both where there is nothing. Links are not followed."""
    size, modified = 0, 0.0
    inside = path.rglob("*") if path.is_dir() and not path.is_symlink() else ()
    for each in itertools.chain([path], inside):
        try:
            status = each.lstat()
        except FileNotFoundError:
            continue  # it went while we looked
        size += 0 if each.is_dir() else status.st_size
        modified = max(modified, status.st_mtime)
    return DiskUsage(size, modified)


def mark_used(path: Path) -> None:
    """Note that a file is used now. A clock that was set back does not make it older.

    A file that cannot be marked is only removed the sooner.
    """
    with contextlib.suppress(OSError):  # there is no such file, or the home folder is read-only
        if path.stat().st_mtime < time.time():
            os.utime(path)
