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
    """One stage's part of a learning curve: (epoch, value) pairs; its epochs count on from the stage before.

    `start` is the number of epochs before this stage. There, the first validation value is that before its first step.
    """

    stage: str
    start: int
    training: list[tuple[int, float]]
    validation: list[tuple[int, float]]


def read_histories(stage_folders: Mapping[str, Path]) -> pa.Table:
    """Put the stages' histories below each other, with a column `stage` (string) before their own.

    The folders are those of stage artifacts, in the order of training.
    """
    parts = []
    for name, folder in stage_folders.items():
        part = pq.read_table(folder / "history.parquet")
        parts.append(part.add_column(0, "stage", pa.array([name] * part.num_rows, pa.string())))
    return pa.concat_tables(parts)


def learning_curves(history: pa.Table, quantity: Quantity) -> list[Curve]:
    """Lay the stages' curves end to end. A value that is not a finite number has no point."""
    curves = []
    start = 0
    for stage in pc.unique(history["stage"]).to_pylist():
        rows = history.filter(pc.equal(history["stage"], stage))
        training, validation = (_points(rows, column, start) for column in (quantity, f"val_{quantity}"))
        curves.append(Curve(stage=stage, start=start, training=training, validation=validation))
        start += pc.max(rows["epoch"]).as_py()
    return curves


def _points(rows: pa.Table, column: str, start: int) -> list[tuple[int, float]]:
    finite = rows.filter(pc.is_finite(rows[column]))  # a null is dropped, too
    epochs = pc.add(finite["epoch"], start)
    return list(zip(epochs.to_pylist(), finite[column].to_pylist(), strict=True))
