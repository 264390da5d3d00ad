"""The points of the learning curves, from the table of both stages' histories. No TensorFlow.

Within a stage, epoch 0 is the state before the first step: there the training columns are null.
"""

from dataclasses import dataclass
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

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
