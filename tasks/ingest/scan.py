"""Read every image of a source once: its content's hash, its size, and whether it is readable at all."""

import functools
import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from thaw.pipeline_config.dataset_schema import SplitName
from thaw.pipeline_config.errors import DatasetError
from thaw.tasks.artifacts.refusals import is_of_the_machine, unreadable
from thaw.tasks.ingest.dataset import IMAGES, UnreadableImage
from thaw.tasks.ingest.sources.base import ImageSource, RawExample, listed
from thaw.tasks.pace import ProgressCounter
from thaw.tasks.parallel import map_in_order
from thaw.tasks.pictures.files import ImageFacts, inspect
from thaw.tasks.pictures.opening import BadImageError
from thaw.tasks.process import Reporter

_NAMED_BAD_IMAGES = 3  # in one line
_LISTED_BAD_IMAGES = 20  # more would hide the rest of a log; dataset.json has them all
_WINDOW_PER_WORKER = 8  # images on their way at once: enough that no worker waits, few enough to stay small


@dataclass(frozen=True, slots=True)
class ScannedImage:
    """A readable image. `id` is the SHA-256 of the encoded bytes, in hexadecimal, and `bytes` their number."""

    id: str
    class_name: str
    source_split: SplitName
    facts: ImageFacts
    bytes: int
    origin: str


def scan_images(
    source: ImageSource, max_pixels: int, known: Mapping[str, ImageFacts], report: Reporter
) -> tuple[list[ScannedImage], list[UnreadableImage]]:
    """Read and check every image, several at once; no more than a few are in memory at a time.

    Those that are known, by their ids, have been checked before, and are not decoded.
    Returns the readable and the unreadable images, each in the source's order.
    """
    seen: list[ScannedImage | UnreadableImage] = []
    progress = ProgressCounter(report, source.count(), "images checked")
    workers = os.cpu_count() or 1
    look = functools.partial(_look, max_pixels=max_pixels, known=known)
    with ThreadPoolExecutor(workers) as threads:  # decoders work, and hashlib hashes, while other threads run
        for image in map_in_order(threads, look, source.examples(), window=workers * _WINDOW_PER_WORKER):
            seen.append(image)
            progress.advance()
    readable = [image for image in seen if isinstance(image, ScannedImage)]
    return readable, [image for image in seen if isinstance(image, UnreadableImage)]


def facts_of_images(folders: Iterable[Path]) -> dict[str, ImageFacts]:
    """Read from dataset artifacts, checked, what their images are, by their ids."""
    columns = ["id", "width", "height", "format", "brightness"]
    tables = (pq.read_table(folder / IMAGES, columns=columns).to_pydict() for folder in folders)
    return {
        image_id: ImageFacts(*facts)
        for table in tables
        for image_id, *facts in zip(*(table[column] for column in columns), strict=True)
    }


def check_unreadable(
    unreadable: Sequence[UnreadableImage], total: int, max_bad_fraction: float, report: Reporter
) -> None:
    """Warn of the unreadable ones among so many images; raise DatasetError where their share is not tolerated."""
    if not unreadable:
        return
    if len(unreadable) / total > max_bad_fraction:
        for image in unreadable[:_LISTED_BAD_IMAGES]:
            report.warn(f"It cannot be read: {image}.")
        names = listed([str(image) for image in unreadable], _NAMED_BAD_IMAGES)
        raise DatasetError(
            f"{len(unreadable)} of {total} images cannot be read: {names}. Expected a share of at most "
            f"{max_bad_fraction:g}. Repair or remove them, or raise dataset.max_bad_fraction."
        )
    for image in unreadable[:_LISTED_BAD_IMAGES]:
        report.warn(f"Left out, because it cannot be read: {image}.")
    rest = len(unreadable) - _LISTED_BAD_IMAGES
    if rest > 0:
        report.warn(
            f"Left out, because they cannot be read: {rest} more; dataset.json of the dataset names all of them."
        )


def _look(example: RawExample, max_pixels: int, known: Mapping[str, ImageFacts]) -> ScannedImage | UnreadableImage:
    try:
        encoded = example.read()
        image_id = hashlib.sha256(encoded).hexdigest()
        facts = known.get(image_id) or inspect(encoded, max_pixels)
    except OSError as error:
        if is_of_the_machine(error):
            raise unreadable(example.origin, error) from error
        return UnreadableImage(example.origin, error.strerror or str(error))
    except BadImageError as error:
        return UnreadableImage(example.origin, str(error))
    return ScannedImage(image_id, example.class_name, example.split, facts, len(encoded), example.origin)
