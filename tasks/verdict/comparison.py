"""Two models on the same images: what differs, from the tables of their answers. No TensorFlow."""

import numpy as np
import pyarrow as pa

from thaw.pipeline_config.errors import ArtifactError
from thaw.tasks.evaluation.intervals import agresti_min_interval
from thaw.tasks.releases.verdict import Comparison
from thaw.tasks.verdict.statistics import mid_p_mcnemar

_CONFIDENCE = 0.95  # of the interval that is shown; what is decided depends on the rule's own

FLIPS_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("class_name", pa.string()),
        ("predicted_class", pa.string()),
        ("probability", pa.float32()),
        ("champion_class", pa.string()),
        ("champion_probability", pa.float32()),
    ]
)


def compare(candidate: pa.Table, other: pa.Table) -> Comparison:
    """Compare the tables of answers of a new model and of another.

    Images that either has learned from are left out. A class that one does not know, it has wrong.

    Raises:
        ArtifactError: The tables are not about the same images.
    """
    right, other_right, counts = _sides(candidate, other)
    right, other_right = right[counts], other_right[counts]
    images, gained, lost = len(right), int((right & ~other_right).sum()), int((other_right & ~right).sum())
    return Comparison(
        images=images,
        left_out=int((~counts).sum()),
        gained=gained,
        lost=lost,
        accuracy=float(right.mean()) if images else 0.0,
        other_accuracy=float(other_right.mean()) if images else 0.0,
        difference_ci=agresti_min_interval(gained, lost, images, _CONFIDENCE),
        p_better=mid_p_mcnemar(gained, lost),
        p_worse=mid_p_mcnemar(lost, gained),
    )


def flips(candidate: pa.Table, other: pa.Table) -> pa.Table:
    """List the compared images that exactly one of the two has right, with the columns of `FLIPS_SCHEMA`."""
    right, other_right, counts = _sides(candidate, other)
    chosen = np.flatnonzero(counts & (right != other_right))
    return pa.table(
        [
            *(candidate[name].take(chosen) for name in ("id", "class_name", "predicted_class", "probability")),
            *(other[name].take(chosen) for name in ("predicted_class", "probability")),
        ],
        schema=FLIPS_SCHEMA,
    )


def _sides(candidate: pa.Table, other: pa.Table) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Say of each image whether either is right, and whether it counts: bool (images,) each."""
    if candidate["id"].to_pylist() != other["id"].to_pylist():
        raise ArtifactError(
            f"The evaluation has {candidate.num_rows} images and the baseline {other.num_rows}, expected the same ones "
            "in the same order. Run again with --refresh evaluate --refresh baseline."
        )
    right, other_right = (
        table["class_name"].to_numpy() == table["predicted_class"].to_numpy() for table in (candidate, other)
    )
    return right, other_right, ~(candidate["learned_from"].to_numpy() | other["learned_from"].to_numpy())


def sentence(compared: Comparison, candidate: str, other: str, learned_from: str) -> str:
    """Say how a comparison came out; `learned_from` says who may have learned from what was left out."""
    left_out = f", without {compared.left_out:,} that {learned_from} may have learned from" if compared.left_out else ""
    on = f"{compared.images:,} test images{left_out}"
    if not compared.images:
        return f"There is nothing to compare with {other} on: {on}."
    low, high = (f"{end * 100:+.1f}" for end in compared.difference_ci)
    return (
        f"On {on}, {candidate} alone is right on {compared.gained:,} and {other} alone on {compared.lost:,}: "
        f"{compared.difference * 100:+.1f} points ({low} to {high})."
    )
