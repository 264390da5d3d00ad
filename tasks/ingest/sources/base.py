"""What every source of images offers, whatever kind it is."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from pipeline_config.dataset_schema import SplitName
from tasks.artifacts.file_digests import FileDigests


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
    """A place that has labelled images. Nothing is read before it is asked for."""

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

    def content_digest(self, digests: FileDigests) -> str:
        """Digest all that the source's examples depend on, without TensorFlow, as SHA-256 in hexadecimal.

        Args:
            digests: For the files that the examples are read from, so that unchanged ones are not read again.
        """


def one_line(origin: str) -> str:
    """Write an origin so that it fits into a message, whatever characters a file's name has.

    Args:
        origin: Where an image is in its source.

    Returns:
        The origin itself, or an escaped form where it holds a line break or the like.
    """
    return origin if origin.isprintable() else repr(origin)
