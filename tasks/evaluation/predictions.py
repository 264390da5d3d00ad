"""The predictions table: one row per test image, and how it is made from a model's probabilities. No TensorFlow.

Columns: id (string), label (int32), class_name (string), predicted (int32), predicted_class (string), probabilities
(list of float32, one per class), rank (int32, 1 is first), loss (float64, cross-entropy in nats). The mean of the loss
over the validation split would be the `val_loss` of training, up to rounding, for a model with temperature 1.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from thaw.pipeline_config.errors import TrainingError
from thaw.tasks.artifacts.refusals import writing
from thaw.tasks.training.stage_facts import SMALLEST_PROBABILITY

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("label", pa.int32()),
        ("class_name", pa.string()),
        ("predicted", pa.int32()),
        ("predicted_class", pa.string()),
        ("probabilities", pa.list_(pa.float32())),
        ("rank", pa.int32()),
        ("loss", pa.float64()),
    ]
)


def predictions_table(
    ids: Sequence[str], labels: npt.NDArray[np.integer], probabilities: npt.NDArray[np.float32], classes: Sequence[str]
) -> pa.Table:
    """Put a model's answers beside the truth: one row per image, in the order given, with the columns of `SCHEMA`.

    Args:
        ids: SHA-256 of each image, in hexadecimal.
        labels: (images,), range [0, number of classes).
        probabilities: float32 (images, classes), range [0, 1].
        classes: By label.

    Raises:
        TrainingError: A probability is not a finite number; the message names the image.
    """
    finite = np.isfinite(probabilities).all(axis=1)
    if not finite.all():
        raise TrainingError(
            f"The model gave a probability that is not finite for test image {ids[int(np.argmin(finite))]}, "
            "expected numbers from 0 to 1. Lower the learning rate of the last stage and train again."
        )
    predicted = probabilities.argmax(axis=1)
    true_probability = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return pa.table(
        {
            "id": list(ids),
            "label": labels,
            "class_name": [classes[label] for label in labels],
            "predicted": predicted,
            "predicted_class": [classes[label] for label in predicted],
            "probabilities": list(probabilities),
            "rank": rank_of_true_class(labels, probabilities),
            "loss": -np.log(np.clip(true_probability, SMALLEST_PROBABILITY, 1.0)),
        },
        schema=SCHEMA,
    )


def rank_of_true_class(
    labels: npt.NDArray[np.integer], probabilities: npt.NDArray[np.float32]
) -> npt.NDArray[np.int32]:
    """Find the place of each image's true class among all classes, from the most to the least probable.

    The predicted class is first; of several with the highest probability, the one with the lowest label is predicted.
    Any other tie counts against the model: the true class comes after all classes that are as probable. So rank 1 means
    exactly that the prediction is right. Of labels (images,) and probabilities (images, classes) come ranks (images,).
    """
    true_probability = probabilities[np.arange(len(labels)), labels]
    # The true class counts itself: the 1 of "1 + others".
    ranks = (probabilities >= true_probability[:, np.newaxis]).sum(axis=1)
    return np.where(probabilities.argmax(axis=1) == labels, 1, ranks).astype(np.int32)


def probability_matrix(table: pa.Table) -> npt.NDArray[np.float32]:
    """Get the probabilities of a predictions table back as one array (images, classes)."""
    values = table["probabilities"].combine_chunks().flatten().to_numpy()
    return np.asarray(values, dtype=np.float32).reshape(table.num_rows, -1)


def right_answers(table: pa.Table) -> npt.NDArray[np.bool_]:
    """Say of each image whether its class is predicted: (images,)."""
    right: npt.NDArray[np.bool_] = table["label"].to_numpy() == table["predicted"].to_numpy()
    return right


def top_probability(table: pa.Table) -> npt.NDArray[np.float64]:
    """Read how sure the model was of its predictions: (images,), range [0, 1]; rounding above 1 is cut off."""
    top: npt.NDArray[np.float64] = np.minimum(probability_matrix(table).max(axis=1).astype(np.float64), 1.0)
    return top


def write_table(table: pa.Table, path: Path) -> None:
    """Write a table as Parquet; equal tables give equal bytes."""
    with writing(path):  # pyarrow names no file, and removes it
        pq.write_table(table.combine_chunks(), path, compression="zstd")
