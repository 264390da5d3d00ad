"""Where images come from: one module per kind of source, and the one place that knows them all."""

from collections.abc import Callable, Sequence
from typing import Any

from thaw.pipeline_config.dataset_schema import Source
from thaw.tasks.home import Home
from thaw.tasks.ingest.sources.archive import ArchiveImages
from thaw.tasks.ingest.sources.base import ImageSource
from thaw.tasks.ingest.sources.csv_file import CsvImages
from thaw.tasks.ingest.sources.digits import DigitsImages
from thaw.tasks.ingest.sources.directory import DirectoryImages
from thaw.tasks.ingest.sources.parquet import ParquetImages
from thaw.tasks.ingest.sources.tfds import TfdsImages

_KINDS: dict[str, Callable[[Any, Home], ImageSource]] = {
    "archive": ArchiveImages,
    "csv": CsvImages,
    "digits": DigitsImages,
    "directory": DirectoryImages,
    "parquet": ParquetImages,
    "tfds": TfdsImages,
}


def open_source(config: Source, home: Home) -> ImageSource:
    """Find the source that a recipe asks for; nothing of it is read or fetched yet."""
    return _KINDS[config.kind](config, home)


def content_digest(config: Source, home: Home) -> str:
    """Digest what a source holds now, SHA-256 in hexadecimal, so that a change of it changes the key of the dataset.

    Nothing is fetched.

    Raises:
        DatasetError: The source is missing, or not laid out as expected.
    """
    return open_source(config, home).content_digest(home.digests)


def columns_digest(config: Source, home: Home, columns: Sequence[str]) -> str:
    """Digest what columns of a source's table hold, as far as `content_digest` does not cover it.

    Raises:
        DatasetError: The table is missing or damaged, or has no such column.
    """
    return open_source(config, home).columns_digest(columns)
