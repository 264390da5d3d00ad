"""Which images the report shows: a function of the seed and of the predictions. No TensorFlow."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import pyarrow as pa

from thaw.tasks.evaluation.predictions import top_probability

Flipped = Literal["better", "worse"]

_MOST_DRAWS = 5000  # a draw reads an image's record; this bounds the work on large or very unbalanced data


def some_images(examples: int, wanted: int, seed: int) -> list[int]:
    """Draw images without looking at them: different indices, fewer where there are not so many."""
    return [int(index) for index in np.random.default_rng(seed).permutation(examples)[:wanted]]


def samples_per_class(
    label_of: Callable[[int], int], examples: int, labels: Sequence[int], wanted: int, seed: int
) -> dict[int, list[int]]:
    """Draw as many images as wanted of each class; `label_of` reads the label of the image at an index.

    A class with few images, or one so rare that it is not met in 5,000 draws, has fewer.
    """
    found: dict[int, list[int]] = {label: [] for label in labels}
    missing = len(labels) * wanted
    for index in some_images(examples, _MOST_DRAWS, seed):
        if missing == 0:
            break
        chosen = found.get(label_of(index))
        if chosen is not None and len(chosen) < wanted:
            chosen.append(index)
            missing -= 1
    return found


def most_confident_mistakes(table: pa.Table, wanted: int) -> list[int]:
    """Find the wrong predictions of which the model was most sure, as rows of the predictions table.

    The most confident is first; equal ones are in the order of the table.
    """
    top = top_probability(table)
    wrong = np.flatnonzero(table["label"].to_numpy() != table["predicted"].to_numpy())
    return [int(row) for row in wrong[np.argsort(-top[wrong], kind="stable")][:wanted]]


def by_class(flips: pa.Table, how: Flipped) -> list[tuple[str, list[int]]]:
    """Sort the images that got better or worse by their classes: rows of the table, by the name of the class.

    The class with the most images is first, and of each the image of whose answer the new model is most sure.
    """
    found: dict[str, list[int]] = defaultdict(list)
    names, answers = flips["class_name"].to_pylist(), flips["predicted_class"].to_pylist()
    for row in np.argsort(-flips["probability"].to_numpy(), kind="stable"):
        if (names[row] == answers[row]) == (how == "better"):
            found[names[row]].append(int(row))
    return sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))


def shown_classes(classes: int, wanted: int) -> list[int]:
    """Choose at most as many classes as wanted, evenly from first to last: labels in rising order."""
    return [int(label) for label in np.unique(np.linspace(0, classes - 1, min(classes, wanted)).round())]
