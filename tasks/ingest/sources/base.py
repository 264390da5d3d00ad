"""What every source of images offers, whatever kind it is."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from thaw.pipeline_config.dataset_schema import SplitName
from thaw.pipeline_config.errors import DatasetError
from thaw.pipeline_config.messages import received, word
from thaw.pipeline_config.strict import nearest_hint
from thaw.tasks.artifacts.file_digests import FileDigests
from thaw.tasks.process import Reporter

# How folders and columns name splits; capital letters make no difference.
SPLIT_NAMES: dict[str, SplitName] = {
    "train": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
}

MISSING = "missing"  # the part of the images of which a column says nothing
_LISTED_COLUMNS = 10


@dataclass(frozen=True, slots=True)
class RawExample:
    """One image as the source has it, not yet read.

    Attributes:
        origin: Where it is in the source; unique there, and all that is needed to read it again.
        class_name: Its label, as the source names it.
        split: The source's split that it belongs to.
        read: Returns the encoded image, from any thread; raises OSError.
    """

    origin: str
    class_name: str
    split: SplitName
    read: Callable[[], bytes]


class ImageSource(Protocol):
    """A place that has labelled images, made from the recipe's `dataset.source` and the home folder.

    Nothing is read before it is asked for. All methods but the two digests are called in a step's child process, after
    `fetch`.
    """

    def fetch(self, report: Reporter) -> None:
        """Bring what is elsewhere into the home folder, unless it is there already; a local source does nothing."""

    def splits(self) -> frozenset[SplitName]:
        """List the splits that the source has by itself; a source without any calls all its images train."""

    def classes(self) -> tuple[str, ...]:
        """List the class names, in the order of the labels."""

    def count(self) -> int:
        """Count the examples, readable or not."""

    def examples(self) -> Iterator[RawExample]:
        """Go through the examples, in an order that depends on the content alone."""

    def read_again(self, origin: str) -> bytes:
        """Read one image by its origin, from any thread; raises OSError."""

    def values(self, columns: Sequence[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Go through the origins of all examples, in their order, each with what columns say of it, by `part_name`.

        Only a source whose model says `has_columns` is asked, and raises DatasetError if one of them is not there.
        """
        del columns
        return iter(())

    def columns_digest(self, columns: Sequence[str]) -> str:
        """Digest what columns say, as far as `content_digest` does not cover it; of no columns, an empty string."""
        del columns
        return ""

    def content_digest(self, digests: FileDigests) -> str:
        """Digest all that the source's examples depend on, as SHA-256 in hexadecimal.

        The flow's process asks for it: no TensorFlow, and nothing that `fetch` brings. Of what is fetched, the digest
        is that of what the recipe declares; of what is listed elsewhere, that of the listing.
        """


def changed_meanwhile() -> DatasetError:
    """Say that a source is not what it was when the work began."""
    return DatasetError("The images changed while they were being read. Expected the same files throughout. Run again.")


def part_name(value: str | None) -> str:
    """Name the part of the images of which a column says so, in a short line; an empty cell is `missing`."""
    return word(text) if value is not None and (text := value.strip()) else MISSING


def no_column(place: str, name: str, columns: Sequence[str]) -> DatasetError:
    """Say that a table has no such column, and which it has."""
    known = listed([word(column) for column in columns], _LISTED_COLUMNS) or "none"
    return DatasetError(f"{place} has no column {received(name)}. Its columns: {known}.{nearest_hint(name, columns)}")


def listed(words: Sequence[str], most: int) -> str:
    """Write words for a message: so many of them, and how many more there are."""
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more
