"""Read every image of a source once: its content's hash, its size, and whether it is readable at all."""

import functools
import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import NamedTuple, Protocol

from thaw.pipeline_config.dataset_schema import SplitName
from thaw.pipeline_config.errors import DatasetError
from thaw.tasks.artifacts.refusals import is_of_the_machine, unreadable
from thaw.tasks.ingest.columns import Values, with_values
from thaw.tasks.ingest.dataset import UnreadableImage
from thaw.tasks.ingest.sorted_rows import SortedRows
from thaw.tasks.ingest.sources.base import ImageSource, RawExample, listed
from thaw.tasks.pace import ProgressCounter
from thaw.tasks.parallel import map_in_order
from thaw.tasks.pictures.files import ImageFacts, inspect
from thaw.tasks.pictures.opening import BadImageError
from thaw.tasks.process import Reporter

_NAMED_BAD_IMAGES = 3  # in one line
_LISTED_BAD_IMAGES = 20  # more would hide the rest of a log; dataset.json has them all
_WINDOW_PER_WORKER = 8  # images on their way at once: enough that no worker waits, few enough to stay small

# Where a duplicate is kept if the source has it in several splits: the held-out sets stay whole, and training never
# sees what they hold.
_KEPT_FIRST = {"test": 0, "validation": 1, "train": 2}


class Known(Protocol):
    """Tells what images are that have been checked before, by their ids, from any thread."""

    def get(self, image_id: str, /) -> ImageFacts | None:
        """Look one up; None if it is not known."""


class ScannedImage(NamedTuple):
    """A readable image: a row of plain values.

    `id` is the SHA-256 of the encoded bytes, in hexadecimal, and `bytes` their number. `values` is what the columns
    say of it. The others of its facts are those of `ImageFacts`.
    """

    id: str
    class_name: str
    source_split: SplitName
    width: int
    height: int
    format: str
    brightness: float
    bytes: int
    origin: str
    values: Values


def scan_images(
    source: ImageSource, max_pixels: int, known: Known, report: Reporter, columns: Sequence[str] = ()
) -> tuple[SortedRows[ScannedImage], list[UnreadableImage]]:
    """Read and check every image, several at once; no more than a few are in memory at a time.

    Those that are known have been checked before, and are not decoded.
    Returns the readable images as `in_order_of_content` has them, and the unreadable ones in the source's order.
    """
    unreadable: list[UnreadableImage] = []
    progress = ProgressCounter(report, source.count(), "images checked")
    look = functools.partial(_look, max_pixels=max_pixels, known=known)

    def readable(threads: Executor) -> Iterator[ScannedImage]:
        for image in map_in_order(threads, look, with_values(source, columns), window=workers * _WINDOW_PER_WORKER):
            if isinstance(image, ScannedImage):
                yield image
            else:
                unreadable.append(image)
            progress.advance()

    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as threads:  # decoders work, and hashlib hashes, while other threads run
        return in_order_of_content(readable(threads)), unreadable


def in_order_of_content(images: Iterable[ScannedImage]) -> SortedRows[ScannedImage]:
    """Bring equal images together; of them, the one that is to be kept comes first."""
    return SortedRows(
        ScannedImage._make, images, key=lambda image: (image.id, _KEPT_FIRST[image.source_split], image.origin)
    )


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


def _look(item: tuple[RawExample, Values], max_pixels: int, known: Known) -> ScannedImage | UnreadableImage:
    example, values = item
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
    return ScannedImage(
        id=image_id,
        class_name=example.class_name,
        source_split=example.split,
        width=facts.width,
        height=facts.height,
        format=facts.format,
        brightness=facts.brightness,
        bytes=len(encoded),
        origin=example.origin,
        values=values,
    )
