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
    """Compare a new model's predictions table with a baseline's table; both have a row per test image.

    Images that the other has learned from are left out. A class that the other does not know, it has wrong.

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
    probability = np.asarray([max(row) for row in candidate["probabilities"].take(chosen).to_pylist()], np.float32)
    return pa.table(
        [
            *(candidate[name].take(chosen) for name in ("id", "class_name", "predicted_class")),
            pa.chunked_array([probability], pa.float32()),
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
    return right, other_right, ~other["learned_from"].to_numpy()
