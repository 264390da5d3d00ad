"""A zip or tar file by its URL: downloaded and unpacked once, into the home folder's artifacts, then a folder.

downloads/<sha256>.part      the file as it grows; removed when it has been unpacked
"""

from pathlib import Path
from typing import Any, ClassVar

from thaw.pipeline_config.dataset_schema import ArchiveSource
from thaw.pipeline_config.errors import DatasetError
from thaw.pipeline_config.messages import received
from thaw.tasks.artifacts.file_digests import FileDigests
from thaw.tasks.artifacts.refusals import writing
from thaw.tasks.home import Home
from thaw.tasks.ingest.sources.directory import DirectoryImages
from thaw.tasks.ingest.sources.fetched import FetchedStep
from thaw.tasks.process import Reporter

_LISTED_FOLDERS = 5


class ArchiveStep(FetchedStep):
    """Make an artifact of an archive's files. Another `layout` of them unpacks all archives again."""

    kind: ClassVar[str] = "archive"
    work: ClassVar[str] = "thaw.tasks.ingest.extract:extract"
    libraries: ClassVar[tuple[str, ...]] = ()

    sha256: str
    layout: int = 1


class ArchiveImages(DirectoryImages):
    """Images in the class folders of an archive, which is a folder once it is fetched."""

    def __init__(self, config: ArchiveSource, home: Home) -> None:
        """Prepare the source; nothing is downloaded yet."""
        self.config = config
        self._home = home
        self._part = home.path / "downloads" / f"{config.sha256}.part"

    def fetch(self, report: Reporter) -> None:
        """Download and unpack the archive, unless its files are there and whole.

        Raises:
            DownloadError: The archive cannot be fetched, or is another file than the one declared.
            DatasetError: The archive is refused, or lacks the subdirectory.
            ArtifactError: The home folder cannot be written.
        """
        step = ArchiveStep(sha256=self.config.sha256)
        files = step.fetch(self._home, lambda folder: self._unpack(folder, report), report)
        with writing(self._part):
            self._part.unlink(missing_ok=True)
        self.folder = files / (self.config.subdirectory or "")
        if not self.folder.is_dir():
            found = sorted(path.name for path in files.iterdir() if path.is_dir())
            raise DatasetError(
                f"dataset.source.subdirectory: the archive has no folder {received(self.config.subdirectory)}. "
                f"Its folders: {', '.join(found[:_LISTED_FOLDERS]) or 'none'}."
            )

    def content_digest(self, digests: FileDigests) -> str:
        """Give the digest that the recipe declares; the subdirectory is a part of the key by itself."""
        del digests
        return self.config.sha256

    def _unpack(self, folder: Path, report: Reporter) -> dict[str, Any]:
        # The process of a plan imports this module, and needs neither.
        from thaw.tasks.ingest.download import download
        from thaw.tasks.ingest.extract import Limits, extract

        limits = Limits(self.config.max_members, round(self.config.max_gigabytes * 10**9))
        download(self.config.url, self.config.sha256, self._part, max_bytes=limits.bytes, report=report)
        return extract(self._part, folder, limits, report)
