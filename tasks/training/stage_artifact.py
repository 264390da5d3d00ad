"""What a stage leaves behind: the model as architecture and weights, its history, and its facts."""

import json
from collections.abc import Sequence
from pathlib import Path

import keras
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from thaw.pipeline_config.preprocessing import Fit
from thaw.tasks.artifacts.store import write_json
from thaw.tasks.training.state import EpochRow

ARCHITECTURE_NAME = "model.json"
WEIGHTS_NAME = "model.weights.h5"
HISTORY_NAME = "history.parquet"
FACTS_NAME = "stage.json"

HISTORY_SCHEMA = pa.schema(
    [
        ("epoch", pa.int32()),
        ("loss", pa.float64()),
        ("accuracy", pa.float64()),
        ("val_loss", pa.float64()),
        ("val_accuracy", pa.float64()),
        ("learning_rate", pa.float64()),
    ]
)


class Measurement(BaseModel):
    """Loss (cross-entropy, nats) and accuracy (0 to 1) on the validation split."""

    model_config = ConfigDict(frozen=True)

    val_loss: float
    val_accuracy: float


class StageFacts(BaseModel):
    """The contents of `stage.json`.

    Attributes:
        name: The stage's name.
        backbone: Name of the backbone.
        fit: How images are brought to the model's size.
        classes: Class names, in the order of the model's outputs.
        epochs: Epochs that were run.
        kept_epoch: The epoch whose weights these are; 0 is the state before the first step.
        before: Validation before the first step.
        val_loss: Validation loss of the kept weights.
        val_accuracy: Validation accuracy of the kept weights.
        weights_sha256: Digest of the model's weights.
        parameters: Numbers in the model.
        trainable_parameters: Numbers that learned.
        trainable_tensors: Tensors that learned.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    backbone: str
    fit: Fit
    classes: list[str]
    epochs: int
    kept_epoch: int
    before: Measurement
    val_loss: float
    val_accuracy: float
    weights_sha256: str
    parameters: int
    trainable_parameters: int
    trainable_tensors: int


def write_stage(folder: Path, model: keras.Model, history: Sequence[EpochRow], facts: StageFacts) -> None:
    """Write a stage's artifact.

    Args:
        folder: An empty folder.
        model: The classifier with the weights to keep.
        history: One row for each measured epoch.
        facts: The rest.
    """
    write_json(folder / ARCHITECTURE_NAME, json.loads(model.to_json()))
    model.save_weights(folder / WEIGHTS_NAME)
    rows = [row.model_dump() for row in history]
    pq.write_table(pa.Table.from_pylist(rows, schema=HISTORY_SCHEMA), folder / HISTORY_NAME)
    write_json(folder / FACTS_NAME, facts.model_dump(mode="json"))


def read_stage(folder: Path) -> StageFacts:
    """Read a stage's facts.

    Args:
        folder: A stage artifact's folder, checked.

    Returns:
        The facts.
    """
    return StageFacts.model_validate_json((folder / FACTS_NAME).read_bytes())


def load_classifier(folder: Path) -> keras.Model:
    """Load a stage's model.

    Args:
        folder: A stage artifact's folder, checked: loading a model may run code, so its digest must be known.

    Returns:
        A model from float32 images (batch, resolution, resolution, 3) in [0, 255] to float32 probabilities
        (batch, classes).
    """
    model = keras.models.model_from_json((folder / ARCHITECTURE_NAME).read_text(encoding="utf-8"))
    model.load_weights(folder / WEIGHTS_NAME)
    return model
