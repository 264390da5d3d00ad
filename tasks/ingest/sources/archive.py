"""A zip or tar file by its URL: downloaded and unpacked once, into the home folder's artifacts, then a folder.

downloads/<sha256>.part      the file as it grows; removed when it has been unpacked
"""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from thaw.pipeline_config.dataset_schema import ArchiveSource, DirectorySource, SplitName
from thaw.pipeline_config.errors import DatasetError
from thaw.tasks.artifacts.atomic import writing
from thaw.tasks.artifacts.file_digests import FileDigests
from thaw.tasks.artifacts.step import Made, Step
from thaw.tasks.home import Home
from thaw.tasks.ingest.sources.base import RawExample
from thaw.tasks.ingest.sources.directory import DirectoryImages
from thaw.tasks.process import Reporter

_FILES = "files"  # the members' folder in the artifact, so that none of them can pass for the manifest
_LISTED_FOLDERS = 5


class ArchiveStep(Step):
    """Make an archive artifact: the files of an archive, below `files/`.

    Attributes:
        sha256: Of the archive.
        layout: Number of the way in which the files are laid out; another one unpacks all archives again.
    """

    kind: ClassVar[str] = "archive"
    work: ClassVar[str] = "thaw.tasks.ingest.extract:extract"
    libraries: ClassVar[tuple[str, ...]] = ()

    sha256: str
    layout: int = 1

    @functools.cached_property
    def key_document(self) -> dict[str, Any]:
        """The archive alone: a new version of thaw gets the same files out of it, and must not download it again."""
        return {"kind": self.kind, "depends_on": self.depends_on(), "sources": {}, "libraries": {}}


class ArchiveImages:
    """Images in the class folders of an archive."""

    def __init__(self, config: ArchiveSource, home: Home) -> None:
        """Prepare the source; nothing is downloaded yet.

        Args:
            config: Says where the archive is, and what it is.
            home: The home folder, which gets the archive's files.
        """
        self.config = config
        self._home = home
        self._images: DirectoryImages | None = None

    def fetch(self, report: Reporter) -> None:
        """Download and unpack the archive, unless its files are there and whole. One process at a time does so.

        Args:
            report: Takes the progress.

        Raises:
            DownloadError: The archive cannot be fetched, or is another file than the one declared.
            DatasetError: The archive is refused, or lacks the subdirectory.
            ArtifactError: The home folder cannot be written.
        """
        step = ArchiveStep(sha256=self.config.sha256)
        store = self._home.store.telling(report.warn)
        ref = store.build(step, lambda folder: Made.timed(lambda: self._unpack(folder, report)))
        store.mark_used(step.key)
        with writing(self._part):
            self._part.unlink(missing_ok=True)
        folder = store.folder(ref) / _FILES
        if self.config.subdirectory is not None:
            folder = self._below(folder, self.config.subdirectory)
        self._images = DirectoryImages(DirectorySource(kind="directory", path=str(folder)), self._home)

    def splits(self) -> frozenset[SplitName]:
        """List the splits that have a folder; without such folders, train."""
        return self._fetched.splits()

    def classes(self) -> tuple[str, ...]:
        """List the names of the class folders of all splits, in code-point order."""
        return self._fetched.classes()

    def count(self) -> int:
        """Count the files in class folders."""
        return self._fetched.count()

    def examples(self) -> Iterator[RawExample]:
        """Go through the files in the order of their paths."""
        return self._fetched.examples()

    def read_again(self, origin: str) -> bytes:
        """Read one file.

        Args:
            origin: Its path below the archive's folder, with forward slashes.

        Returns:
            Its content.
        """
        return self._fetched.read_again(origin)

    def content_digest(self, digests: FileDigests) -> str:
        """Give the digest that the recipe declares; the subdirectory is a part of the key by itself.

        Args:
            digests: Not used: nothing is read.

        Returns:
            SHA-256 of the archive, in hexadecimal.
        """
        del digests
        return self.config.sha256

    @property
    def _part(self) -> Path:
        return self._home.path / "downloads" / f"{self.config.sha256}.part"

    @property
    def _fetched(self) -> DirectoryImages:
        if self._images is None:
            raise RuntimeError("fetch() comes first")
        return self._images

    def _unpack(self, folder: Path, report: Reporter) -> dict[str, Any]:
        # The process of a plan imports this module, and needs neither.
        from thaw.tasks.ingest.download import download
        from thaw.tasks.ingest.extract import Limits, extract

        limits = Limits(self.config.max_members, round(self.config.max_gigabytes * 10**9))
        download(self.config.url, self.config.sha256, self._part, max_bytes=limits.bytes, report=report)
        return extract(self._part, folder / _FILES, limits, report)

    def _below(self, folder: Path, subdirectory: str) -> Path:
        place = folder / subdirectory
        if not place.is_dir():
            found = sorted(path.name for path in folder.iterdir() if path.is_dir())
            listed = ", ".join(found[:_LISTED_FOLDERS]) or "none"
            raise DatasetError(
                f"dataset.source.subdirectory: the archive has no folder {subdirectory!r}. Its folders: {listed}."
            )
        return place
