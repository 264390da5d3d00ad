"""Images that are files below one folder of this machine, whatever says which they are and what they show."""

import errno
import functools
import hashlib
import os
import stat
from abc import abstractmethod
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from thaw.pipeline_config.dataset_schema import SplitName
from thaw.tasks.artifacts.file_digests import FileDigests
from thaw.tasks.artifacts.refusals import is_of_the_machine, unreadable
from thaw.tasks.ingest.sorted_rows import SortedRows
from thaw.tasks.ingest.sources.base import ImageSource, RawExample

_FILES_AT_ONCE = 1 << 13  # whose digests are looked up: all of them would be in memory


class ImageFile(NamedTuple):  # a data class takes three times as long to make, and there may be 40,000
    """A file; its origin is its path below the folder, with forward slashes."""

    origin: str
    class_name: str
    split: SplitName


class ImageFiles(ImageSource):
    """What the sources of files have in common. Classes are in the order of their names, and files of their paths."""

    folder: Path

    @abstractmethod
    def find(self) -> Iterator[ImageFile]:
        """Go through the files, in any order; a subclass says how, and raises DatasetError."""

    def content(self, file: ImageFile) -> tuple[str, ...]:
        """Say what of a file, besides its bytes, the digest of the content is made of."""
        return file

    def splits(self) -> frozenset[SplitName]:
        """List the splits that have a file."""
        return frozenset(file.split for file in self._files)

    def classes(self) -> tuple[str, ...]:
        """List the labels, in code-point order."""
        return tuple(sorted({file.class_name for file in self._files}))

    def count(self) -> int:
        """Count the files."""
        return len(self._files)

    def examples(self) -> Iterator[RawExample]:
        """Go through the files in the order of their paths."""
        for file in self._files:
            yield RawExample(*file, functools.partial(self.read_again, file.origin))

    def read_again(self, origin: str) -> bytes:
        """Read a file, and nothing that is not one: a pipe would keep its reader waiting."""
        path = self.folder / origin
        if not stat.S_ISREG(path.stat().st_mode):
            raise OSError(errno.EINVAL, "Not a regular file")
        return path.read_bytes()

    def content_digest(self, digests: FileDigests) -> str:
        """Digest where every file is, what it shows, and its bytes; the order makes no difference."""
        digest, files = hashlib.sha256(), iter(self._files)
        while some := list(islice(files, _FILES_AT_ONCE)):
            contents = digests.sha256_of([f"{self.folder}{os.sep}{file.origin}" for file in some])
            for file, content in zip(some, contents, strict=True):
                word = content if type(content) is str else _word(file, content)
                digest.update("\0".join((*self.content(file), f"{word}\n")).encode())
        return digest.hexdigest()

    @functools.cached_property
    def _files(self) -> SortedRows[ImageFile]:
        return SortedRows(ImageFile._make, self.find())


def _word(file: ImageFile, content: str | OSError) -> str:
    """Write the same word for the same content, or the same reason that there is none, on every machine."""
    if isinstance(content, OSError):
        if is_of_the_machine(content):
            raise unreadable(file.origin, content)
        return f"cannot be read: {errno.errorcode.get(content.errno or 0, 'unknown')}"
    return content
