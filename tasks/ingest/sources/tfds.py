"""Data sets of tensorflow-datasets, prepared by whoever, or downloaded and prepared once, into the home folder.

downloads/tfds-<name>-<version>/    what it is made from; removed when it is made

The library is not imported here, because the process of a plan or a flow imports this module; see `tfds_library`.
"""

import hashlib
import importlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from thaw.pipeline_config.dataset_schema import SplitName, TfdsSource
from thaw.pipeline_config.errors import DatasetError
from thaw.pipeline_config.strict import nearest_hint
from thaw.tasks.artifacts.file_digests import FileDigests
from thaw.tasks.artifacts.manifest import digest_of
from thaw.tasks.artifacts.step import library_version
from thaw.tasks.home import Home
from thaw.tasks.ingest.sources.base import ImageSource, RawExample
from thaw.tasks.ingest.sources.fetched import FetchedStep
from thaw.tasks.process import Reporter

if TYPE_CHECKING:  # also makes its source part of the cache key, which follows every import
    from thaw.tasks.ingest.tfds_library import PreparedDataset

_LIBRARY = "thaw.tasks.ingest.tfds_library"
_INFO = "dataset_info.json"  # the library writes it last


class TfdsStep(FetchedStep):
    """Make an artifact of a data set that tensorflow-datasets downloads and prepares."""

    kind: ClassVar[str] = "tfds"
    work: ClassVar[str] = f"{_LIBRARY}:prepare"
    libraries: ClassVar[tuple[str, ...]] = ("tensorflow-datasets",)

    name: str
    version: str


class TfdsImages(ImageSource):
    """The examples of a data set of tensorflow-datasets, as its files have them: nothing is decoded on the way.

    With `data_dir`, the data set must be prepared there, and is known by the content of its files. Without, it is
    prepared in the home folder, and is known by its name, its version and the library's.
    """

    def __init__(self, config: TfdsSource, home: Home) -> None:
        """Prepare the source; nothing is looked at yet."""
        self._config = config
        self._home = home
        self._data_dir = None if config.data_dir is None else Path(config.data_dir)

    def fetch(self, report: Reporter) -> None:
        """Download and prepare the data set, unless it is there and whole.

        Raises:
            DatasetError: There is no such data set, or it is not prepared where the recipe says.
            DownloadError: It cannot be downloaded.
            ArtifactError: The home folder cannot be written.
        """
        library, config = importlib.import_module(_LIBRARY), self._config
        if self._data_dir is None:
            downloads = self._home.path / "downloads" / f"tfds-{config.name.replace('/', '-')}-{config.version}"

            def prepare(folder: Path) -> dict[str, Any]:
                report.log(f"Downloading and preparing {config.name} {config.version}; this may take long.")
                library.prepare(config, folder, downloads)
                return {"name": config.name, "version": config.version}

            files = TfdsStep(name=config.name, version=config.version).fetch(self._home, prepare, report)
            shutil.rmtree(downloads, ignore_errors=True)  # what cannot be removed now goes with `thaw gc`
            folder = files / config.name / config.version
        else:
            folder = self._folder_in(self._data_dir)
        self._prepared: PreparedDataset = library.PreparedDataset(folder, config)

    def splits(self) -> frozenset[SplitName]:
        """List the splits that the recipe defines."""
        return frozenset(self._config.splits)

    def classes(self) -> tuple[str, ...]:
        """List the names that the data set has for its labels."""
        return self._prepared.classes

    def count(self) -> int:
        """Count the examples of all splits that the recipe defines."""
        return self._prepared.count()

    def examples(self) -> Iterator[RawExample]:
        """Go through the examples in the order of the data set's files."""
        return self._prepared.examples()

    def read_again(self, origin: str) -> bytes:
        """Read one image, by file and number, such as "tf_flowers-train.tfrecord-00000-of-00002#17"."""
        return self._prepared.read(origin)

    def content_digest(self, digests: FileDigests) -> str:
        """Digest the files of a prepared data set, or the name of one that thaw prepares; and the library's version.

        Raises:
            DatasetError: It is not prepared where the recipe says, or a file of it cannot be read.
        """
        version = library_version("tensorflow-datasets")
        if self._data_dir is None:
            return digest_of({"name": self._config.name, "version": self._config.version, "library": version})
        digest = hashlib.sha256(f"{version}\n".encode())
        folder = self._folder_in(self._data_dir)
        with _reading(folder):
            files = sorted(path for path in folder.iterdir() if path.is_file())
        for path, content in zip(files, digests.sha256_of(files), strict=True):
            if isinstance(content, OSError):
                raise DatasetError(f"{path} cannot be read: {content.strerror or content}.") from content
            digest.update(f"{path.name}\0{content}\n".encode())
        return digest.hexdigest()

    def _folder_in(self, data_dir: Path) -> Path:
        folder = data_dir / self._config.name / self._config.version
        with _reading(folder):
            if (folder / _INFO).is_file():
                return folder
        infos = (path for depth in ("*/*", "*/*/*") for path in data_dir.glob(f"{depth}/{_INFO}"))
        found = sorted(path.parent.relative_to(data_dir).as_posix() for path in infos)
        hint = nearest_hint(f"{self._config.name}/{self._config.version}", found)
        raise DatasetError(
            f"{folder} holds no prepared data set.{hint} Prepare it with `tfds build {self._config.name} "
            f"--data_dir {data_dir}`, or leave out dataset.source.data_dir to download it."
        )


@contextmanager
def _reading(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise DatasetError(f"{folder} cannot be read: {reason}. Expected a prepared data set.") from error
