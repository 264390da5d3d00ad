"""Where images come from: one module per kind of source, and the one place that knows them all."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from thaw.pipeline_config.dataset_schema import Source
from thaw.tasks.artifacts.file_digests import FileDigests
from thaw.tasks.ingest.sources.archive import ArchiveImages
from thaw.tasks.ingest.sources.base import ImageSource
from thaw.tasks.ingest.sources.csv_file import CsvImages
from thaw.tasks.ingest.sources.digits import DigitsImages
from thaw.tasks.ingest.sources.directory import DirectoryImages
from thaw.tasks.ingest.sources.parquet import ParquetImages
from thaw.tasks.ingest.sources.tfds import TfdsImages

_KINDS: dict[str, Callable[[Any, Path], ImageSource]] = {
    "archive": ArchiveImages,
    "csv": CsvImages,
    "digits": DigitsImages,
    "directory": DirectoryImages,
    "parquet": ParquetImages,
    "tfds": TfdsImages,
}


def open_source(config: Source, home: Path) -> ImageSource:
    """Find the source that a recipe asks for.

    Args:
        config: The recipe's `dataset.source`.
        home: The home folder, where a source keeps what it fetches.

    Returns:
        The source; nothing of it has been read or fetched yet.
    """
    return _KINDS[config.kind](config, home)


def content_digest(config: Source, home: Path) -> str:
    """Digest what a source holds now, so that a change of it changes the key of the dataset. Nothing is fetched.

    Args:
        config: The recipe's `dataset.source`.
        home: The home folder, which remembers the digests of files that did not change since they were last read.

    Returns:
        SHA-256, in hexadecimal.

    Raises:
        DatasetError: The source is missing, or not laid out as expected.
    """
    return open_source(config, home).content_digest(FileDigests(home))
