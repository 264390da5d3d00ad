"""Which files of a home folder are thaw's: those that are named by a digest.

What is given as the home folder may be another one by mistake, with folders of the same names in it. So nothing else is
looked at, or removed.
"""

import contextlib
import fnmatch
import re
from collections.abc import Iterator
from pathlib import Path

from thaw.tasks.artifacts.refusals import reading

DIGEST = re.compile(r"[0-9a-f]{64}")


def entries(folder: Path, pattern: str) -> Iterator[Path]:
    """List, in alphabetical order, what in a folder is named by a digest, up to the first dot that does not begin it.

    The folder need not exist; the pattern is one of `Path.glob`, which would pass over what it may not list.

    Raises:
        UnreadableError: A folder cannot be listed.
    """
    places = [folder]
    for part in pattern.split("/"):
        places = [path for place in places for path in _children(place) if fnmatch.fnmatchcase(path.name, part)]
    for path in sorted(places):
        if DIGEST.fullmatch(path.name.lstrip(".").partition(".")[0]):
            yield path


def _children(folder: Path) -> list[Path]:
    with reading(folder), contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return list(folder.iterdir())
    return []
