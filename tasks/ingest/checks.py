"""Can the classes be told apart and written down, and can every split be trained or judged on at all?

What is a matter of degree, and a recipe may decide, is in `thaw.tasks.preflight.checks`.
"""

import unicodedata
from collections.abc import Sequence

from thaw.pipeline_config.dataset_schema import SPLITS
from thaw.pipeline_config.errors import DatasetError
from thaw.pipeline_config.messages import word
from thaw.tasks.ingest.dataset import Counts
from thaw.tasks.ingest.sources.base import listed

_NO_TEXT = frozenset({"Cc", "Cs", "Zl", "Zp"})  # controls, halves of characters, ends of lines and of paragraphs
_LISTED_CLASSES = 5
_REMEDY = "Add images, or raise the fractions in dataset.splits."


def check_classes(classes: Sequence[str]) -> None:
    """Refuse a source in which there is nothing to tell apart, or a class whose name is more than a line of text.

    Names go into `labels.txt`, a line each, so that none may hold what some program takes for the end of a line.

    Raises:
        DatasetError: There are fewer than two classes, or a name holds a control character or a line separator.
    """
    for name in classes:
        held = next((character for character in name if unicodedata.category(character) in _NO_TEXT), None)
        if held is not None:
            raise DatasetError(
                f"The class name {name!a} holds the character U+{ord(held):04X}. Expected one line of text, without "
                "control characters. Rename the class."
            )
    if len(classes) < 2:
        received = f"{len(classes)} ({', '.join(classes)})" if classes else "none"
        raise DatasetError(f"A classifier needs at least 2 classes. Received: {received}. Add a folder per class.")


def check_counts(counts: Counts) -> None:
    """Refuse splits that cannot be trained or judged on. Every split and class is in the counts, with 0 if need be.

    Raises:
        DatasetError: A split is empty, a class has no training images, or only training images.
    """
    total = sum(sum(of_split.values()) for of_split in counts.values())
    for split in SPLITS:
        if not any(counts[split].values()):
            raise DatasetError(
                f"The {split} split is empty: expected at least 1 image, received 0 of {total}. {_REMEDY}"
            )
    classes = list(counts["train"])
    untrained = [name for name in classes if not counts["train"][name]]
    if untrained:
        held_out = ", ".join(f"{split} has {counts[split][untrained[0]]}" for split in ("validation", "test"))
        raise DatasetError(
            f"{_named(untrained)} no training images: expected at least 1, received 0 "
            f"({held_out} of {word(untrained[0])}). Add images to train, or remove the class everywhere."
        )
    unjudged = [name for name in classes if not counts["validation"][name] and not counts["test"][name]]
    if unjudged:
        received = counts["train"][unjudged[0]]
        raise DatasetError(
            f"{_named(unjudged)} images in one split only: expected at least 1 in validation or test, "
            f"received {received} in train and 0 in both for {word(unjudged[0])}. {_REMEDY}"
        )


def _named(classes: Sequence[str]) -> str:
    names = [word(name) for name in classes]
    return f"Class {names[0]} has" if len(names) == 1 else f"Classes {listed(names, _LISTED_CLASSES)} have"
