"""What a stage leaves behind: the model as architecture and weights, its history, and its facts."""

import json
from collections.abc import Sequence
from pathlib import Path

import keras
import pyarrow as pa
import pyarrow.parquet as pq

from thaw.tasks.artifacts.refusals import writing
from thaw.tasks.artifacts.store import write_json
from thaw.tasks.training.stage_facts import StageFacts
from thaw.tasks.training.state import EpochRow

ARCHITECTURE_NAME = "model.json"
WEIGHTS_NAME = "model.weights.h5"
HISTORY_NAME = "history.parquet"
FACTS_NAME = "stage.json"

HISTORY_SCHEMA = pa.schema(
    [(name, pa.int32() if field.annotation is int else pa.float64()) for name, field in EpochRow.model_fields.items()]
)


def write_stage(folder: Path, model: keras.Model, history: Sequence[EpochRow], facts: StageFacts) -> None:
    """Fill the empty folder of a stage's artifact; the model holds the weights to keep."""
    write_json(folder / ARCHITECTURE_NAME, json.loads(model.to_json()))
    model.save_weights(folder / WEIGHTS_NAME)
    rows = [row.model_dump() for row in history]
    with writing(folder / HISTORY_NAME):
        pq.write_table(pa.Table.from_pylist(rows, schema=HISTORY_SCHEMA), folder / HISTORY_NAME)
    write_json(folder / FACTS_NAME, facts.model_dump(mode="json"))


def read_stage(folder: Path) -> StageFacts:
    """Read the facts of a stage from its artifact's folder, checked."""
    return StageFacts.from_json((folder / FACTS_NAME).read_bytes(), folder / FACTS_NAME)


def load_classifier(folder: Path) -> keras.Model:
    """Load a stage's model from its artifact's folder, checked: loading a model may run code.

    From float32 images (batch, resolution, resolution, 3) in [0, 255] to float32 probabilities (batch, classes).
    """
    model = keras.models.model_from_json((folder / ARCHITECTURE_NAME).read_text(encoding="utf-8"))
    model.load_weights(folder / WEIGHTS_NAME)
    return model
