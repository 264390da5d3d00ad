"""Read every image of a source once: its content's hash, its size, and whether it is readable at all."""

import collections
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from thaw.pipeline_config.dataset_schema import SplitName
from thaw.pipeline_config.errors import DatasetError
from thaw.tasks.ingest.dataset import UnreadableImage
from thaw.tasks.ingest.sources.base import ImageSource, RawExample
from thaw.tasks.pace import ProgressCounter
from thaw.tasks.pictures.files import BadImageError, ImageFacts, inspect
from thaw.tasks.process import Reporter

_LISTED_BAD_IMAGES = 20  # more would hide the rest of a log; dataset.json has them all
_WINDOW_PER_WORKER = 8  # images on their way at once: enough that no worker waits, few enough to stay small

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class ScannedImage:
    """A readable image.

    Attributes:
        id: SHA-256 of the encoded bytes, in hexadecimal.
        class_name: Its label.
        source_split: The split that the source has it in.
        facts: Its size and format.
        bytes: Size of the encoded image.
        origin: Where it is in the source.
    """

    id: str
    class_name: str
    source_split: SplitName
    facts: ImageFacts
    bytes: int
    origin: str


def scan_images(
    source: ImageSource, max_pixels: int, report: Reporter
) -> tuple[list[ScannedImage], list[UnreadableImage]]:
    """Read and check every image, several at once; no more than a few are in memory at a time.

    Args:
        source: Where the images are.
        max_pixels: Images that declare more are unreadable.
        report: Takes the progress.

    Returns:
        The readable and the unreadable images, each in the source's order.
    """
    readable: list[ScannedImage] = []
    unreadable: list[UnreadableImage] = []
    progress = ProgressCounter(report, source.count(), "images checked")
    workers = os.cpu_count() or 1

    def look(example: RawExample) -> ScannedImage | UnreadableImage:
        return _look(example, max_pixels)

    with ThreadPoolExecutor(workers) as threads:  # decoders work, and hashlib hashes, while other threads run
        for seen in map_in_order(threads, look, source.examples(), window=workers * _WINDOW_PER_WORKER):
            if isinstance(seen, ScannedImage):
                readable.append(seen)
            else:
                unreadable.append(seen)
            progress.advance()
    return readable, unreadable


def check_unreadable(
    unreadable: Sequence[UnreadableImage], total: int, max_bad_fraction: float, report: Reporter
) -> None:
    """Tolerate as many unreadable images as the recipe allows, and name them.

    Args:
        unreadable: All of them.
        total: Number of images, readable or not.
        max_bad_fraction: The tolerated share.
        report: Takes the warnings.

    Raises:
        DatasetError: There are more.
    """
    if not unreadable:
        return
    listed = unreadable[:_LISTED_BAD_IMAGES]
    rest = len(unreadable) - len(listed)
    if len(unreadable) / total > max_bad_fraction:
        names = ", ".join(str(image) for image in listed) + (f" and {rest} more" if rest else "")
        raise DatasetError(
            f"{len(unreadable)} of {total} images cannot be read: {names}. Expected a share of at most "
            f"{max_bad_fraction:g}. Repair or remove them, or raise dataset.max_bad_fraction."
        )
    for image in listed:
        report.warn(f"Left out, because it cannot be read: {image}.")
    if rest:
        report.warn(
            f"Left out, because they cannot be read: {rest} more; dataset.json of the dataset names all of them."
        )


def map_in_order(
    executor: Executor, function: Callable[[Item], Result], items: Iterable[Item], *, window: int
) -> Iterator[Result]:
    """Apply a function in parallel to a stream that may not fit into memory.

    Args:
        executor: Runs the calls.
        function: Takes one item.
        items: The stream.
        window: Items that are taken from the stream before the oldest one's result is waited for.

    Yields:
        The results in the order of the items.
    """
    pending: collections.deque[Future[Result]] = collections.deque()
    for item in items:
        pending.append(executor.submit(function, item))
        if len(pending) >= window:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


def _look(example: RawExample, max_pixels: int) -> ScannedImage | UnreadableImage:
    try:
        encoded = example.read()
        facts = inspect(encoded, max_pixels)
    except OSError as error:
        return UnreadableImage(example.origin, error.strerror or str(error))
    except BadImageError as error:
        return UnreadableImage(example.origin, str(error))
    image_id = hashlib.sha256(encoded).hexdigest()
    return ScannedImage(image_id, example.class_name, example.split, facts, len(encoded), example.origin)
