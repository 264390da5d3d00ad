"""What forbids a promotion whatever the comparison says: floors, answers that are lost, and classes that got worse."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from thaw.pipeline_config.publish_schema import Floors
from thaw.tasks.evaluation.metrics import SplitMetrics
from thaw.tasks.releases.verdict import Comparison
from thaw.tasks.verdict.comparison import compare


def below_floors(floors: Floors, metrics: SplitMetrics) -> list[str]:
    """Say which floors a model does not reach on the test split, in a sentence each.

    Those for a class are for one that there is: `check_against_dataset` sees to that before anything is trained.
    """
    recalls = {score["class"]: score["recall"] for score in metrics["per_class"]}
    worst = min(recalls, key=lambda name: recalls[name])
    reached = [
        ("accuracy", metrics["accuracy"], floors.accuracy),
        ("macro F1", metrics["macro_f1"], floors.macro_f1),
        (f"recall of {worst}, the worst class,", recalls[worst], floors.worst_class_recall),
        *((f"recall of {name}", recalls[name], floor) for name, floor in floors.recall.items()),
    ]
    found = [
        f"The {what} is {value:.4f}, expected {floor:g} or more (publish.floors)."
        for what, value, floor in reached
        if floor is not None and value < floor
    ]
    error, highest = metrics["expected_calibration_error"], floors.calibration_error
    if highest is not None and error > highest:
        found.append(f"The expected calibration error is {error:.4f}, expected {highest:g} or less (publish.floors).")
    return found


def too_large(limit: float, size: int) -> list[str]:
    """Say whether the weights, whose file has so many bytes, are larger than so many megabytes."""
    if size <= limit * 1e6:
        return []
    return [f"The weights have {size / 1e6:.3g} megabytes, expected {limit:g} or less (publish.floors)."]


def too_slow(limit: float, milliseconds: float) -> list[str]:
    """Say whether an image takes longer than so many milliseconds.

    How long it took is not said: a verdict's words are the same wherever the recipe is run, as far as they can be.
    """
    if milliseconds <= limit:
        return []
    return [f"An image alone takes the model longer here than the {limit:g} milliseconds of publish.floors."]


def too_many_lost(limit: float | None, compared: Comparison) -> list[str]:
    """Say whether the new model has more of the champion's right answers wrong than it may."""
    right = round(compared.other_accuracy * compared.images)
    if limit is None or compared.lost <= limit * right:
        return []
    return [
        f"Of the champion's {right:,} right answers the new model has {compared.lost:,} wrong, "
        f"expected a share of {limit:g} or less (publish.max_negative_flips)."
    ]


def worse_classes(candidate: pa.Table, other: pa.Table, classes: Sequence[str], level: float) -> list[str]:
    """Name the classes whose images show that the new model is worse than the other, in a sentence each.

    `level` is that of all classes together: with many, one must show more (Bonferroni).
    """
    found = []
    names = candidate["class_name"].to_numpy()
    for name in classes:
        rows = np.flatnonzero(names == name)
        compared = compare(candidate.take(rows), other.take(rows))
        if compared.p_worse <= level / len(classes):
            found.append(f"{name} got worse: {compared.gained:,} of its images gained, {compared.lost:,} lost.")
    return found
