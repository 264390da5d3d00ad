"""What every check gets, and what it gives."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from thaw.pipeline_config.messages import received, word
from thaw.pipeline_config.retrain_schema import ChecksConfig
from thaw.tasks.ingest.dataset import Counts
from thaw.tasks.ingest.sources.base import listed

_LISTED = 5


@dataclass(frozen=True)
class Seen:
    """What checks look at: how many images there are of each class in each split, and how many files.

    `before` has the images of each class that the champion was made from, and tested on; None where there is no
    champion to compare with, or it does not say of what class they are.
    """

    counts: Counts
    before: dict[str, int] | None
    files: int
    duplicates: int

    @property
    def now(self) -> dict[str, int]:
        """Count the images of each class."""
        return {name: sum(of_split[name] for of_split in self.counts.values()) for name in self.counts["train"]}


# Gives what is wrong, in words that fit behind "…: " and before the remedy; None where nothing is. Pure.
Check = Callable[[Seen, ChecksConfig], str | None]


def named(items: Sequence[str]) -> str:
    """List what was found, the first few of it."""
    return listed(items, _LISTED)


def quoted(name: str) -> str:
    """Write a class name so that blanks are seen that a line would swallow."""
    return word(name) if name == " ".join(name.split()) else received(name)
