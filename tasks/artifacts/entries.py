"""Which files of a home folder are thaw's: those that are named by a digest.

What is given as the home folder may be another one by mistake, with folders of the same names in it. So nothing else is
looked at, or removed.
"""

import re
from collections.abc import Iterator
from pathlib import Path

DIGEST = re.compile(r"[0-9a-f]{64}")


def entries(folder: Path, pattern: str) -> Iterator[Path]:
    """List, in alphabetical order, what in a folder is named by a digest, up to the first dot that does not begin it.

    The folder need not exist; the pattern is one of `Path.glob`.
    """
    for path in sorted(folder.glob(pattern)):
        if DIGEST.fullmatch(path.name.lstrip(".").partition(".")[0]):
            yield path
