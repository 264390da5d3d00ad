"""Both stages' histories as one table, and as the points of the learning curves. No TensorFlow.

Within a stage, epoch 0 is the state before the first step: there the training columns are null.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

Quantity = Literal["accuracy", "loss"]


@dataclass(frozen=True)
class Curve:
    """One stage's part of a learning curve; its epochs count on from the stage before.

    Attributes:
        stage: The stage's name.
        start: Epochs that were run before this stage.
        training: (epoch, value) pairs, from the stage's first epoch on.
        validation: (epoch, value) pairs; the first is the value before the stage's first step, at epoch `start`.
    """

    stage: str
    start: int
    training: list[tuple[int, float]]
    validation: list[tuple[int, float]]


def read_histories(stage_folders: Mapping[str, Path]) -> pa.Table:
    """Put the stages' histories below each other.

    Args:
        stage_folders: Folders of stage artifacts by the stages' names, in the order of training.

    Returns:
        The columns of `history.parquet` with a column `stage` (string) before them.
    """
    parts = []
    for name, folder in stage_folders.items():
        part = pq.read_table(folder / "history.parquet")
        parts.append(part.add_column(0, "stage", pa.array([name] * part.num_rows, pa.string())))
    return pa.concat_tables(parts)


def learning_curves(history: pa.Table, quantity: Quantity) -> list[Curve]:
    """Lay the stages' curves end to end.

    Args:
        history: From `read_histories`.
        quantity: What to draw.

    Returns:
        One curve per stage, in the order of training. A value that is not a finite number has no point.
    """
    curves = []
    start = 0
    for stage in pc.unique(history["stage"]).to_pylist():
        rows = history.filter(pc.equal(history["stage"], stage))
        epochs = rows["epoch"].to_pylist()
        curves.append(
            Curve(
                stage=stage,
                start=start,
                training=_points(rows, epochs, quantity, start),
                validation=_points(rows, epochs, f"val_{quantity}", start),
            )
        )
        start += max(epochs)
    return curves


def _points(rows: pa.Table, epochs: list[int], column: str, start: int) -> list[tuple[int, float]]:
    finite = pc.fill_null(pc.is_finite(rows[column]), False).to_pylist()
    values = rows[column].to_pylist()
    return [(start + epoch, value) for epoch, value, is_finite in zip(epochs, values, finite, strict=True) if is_finite]
