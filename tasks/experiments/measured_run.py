"""One run of a comparison, measured: what it cost, and which test images it got right."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.artifacts.store import ArtifactStore
from thaw.tasks.evaluation.paired_difference import Bools
from thaw.tasks.evaluation.stage_answers_step import ANSWERS, STAGE_ONE, STAGE_ONE_AT_STAGE_TWO, STAGE_TWO, table_name
from thaw.tasks.records.index import read_index


class StageCost(BaseModel):
    """What one stage of one run took, when it was trained.

    Attributes:
        resolution: Height and width of its images, in pixels.
        epochs: Epochs that were run.
        seconds: Wall time of its process, without the start of it; with that of the process that ran its frozen layers
            once for every view, if there was one. If that served both stages, it counts for the first.
        images_per_second: Training images of all epochs by those seconds, which validation is part of.
        peak_memory_bytes: The most that its process held; None where that was not measured.
    """

    model_config = ConfigDict(frozen=True)

    resolution: int
    epochs: int
    seconds: float
    images_per_second: float
    peak_memory_bytes: int | None


class RunRow(BaseModel):
    """One run: a recipe with a seed.

    Attributes:
        recipe: The recipe's name.
        seed: The seed.
        test_images: Number of test images.
        accuracy: Test accuracy of stage two's weights.
        loss: Test loss of the same, in nats.
        stage_one_accuracy: Test accuracy of stage one's weights, at stage one's resolution.
        stage_one_at_stage_two_accuracy: That of the same weights, at stage two's resolution.
        stage_one: What stage one took.
        stage_two: What stage two took.
        training_seconds: What both took.
        weights_sha256: Digest of stage two's weights.
    """

    model_config = ConfigDict(frozen=True)

    recipe: str
    seed: int
    test_images: int
    accuracy: float
    loss: float
    stage_one_accuracy: float
    stage_one_at_stage_two_accuracy: float
    stage_one: StageCost
    stage_two: StageCost
    training_seconds: float
    weights_sha256: str


@dataclass(frozen=True)
class MeasuredRun:
    """One run with all its answers.

    Attributes:
        row: Its numbers.
        image_ids: SHA-256 of each test image, in rising order.
        right: For each of `ANSWERS`, whether each of those images was classified rightly.
    """

    row: RunRow
    image_ids: tuple[str, ...]
    right: Mapping[str, Bools]


@dataclass(frozen=True)
class RunArtifacts:
    """What a run left.

    Attributes:
        records: The records artifact.
        stage_one: The first stage.
        stage_two: The second stage.
        answers: The stage answers artifact.
    """

    records: ArtifactRef
    stage_one: ArtifactRef
    stage_two: ArtifactRef
    answers: ArtifactRef


def measure_run(store: ArtifactStore, recipe: str, seed: int, artifacts: RunArtifacts) -> MeasuredRun:
    """Read what a run left.

    Args:
        store: Where it is.
        recipe: The recipe's name.
        seed: The seed.
        artifacts: What the run made.

    Returns:
        The run, measured.

    Raises:
        ArtifactError: A file is missing or damaged.
    """
    training_images = read_index(store.open(artifacts.records)).splits["train"].examples
    stage_one = _stage_cost(store, artifacts.stage_one, training_images)
    stage_two = _stage_cost(store, artifacts.stage_two, training_images)
    folder = store.open(artifacts.answers)
    tables = {name: pq.read_table(folder / table_name(name)).sort_by("id") for name in ANSWERS}
    right = {
        name: np.asarray(table["label"].to_numpy() == table["predicted"].to_numpy()) for name, table in tables.items()
    }
    accuracy = {name: float(values.mean()) for name, values in right.items()}
    row = RunRow(
        recipe=recipe,
        seed=seed,
        test_images=tables[STAGE_TWO].num_rows,
        accuracy=accuracy[STAGE_TWO],
        loss=float(tables[STAGE_TWO]["loss"].to_numpy().mean()),
        stage_one_accuracy=accuracy[STAGE_ONE],
        stage_one_at_stage_two_accuracy=accuracy[STAGE_ONE_AT_STAGE_TWO],
        stage_one=stage_one,
        stage_two=stage_two,
        training_seconds=stage_one.seconds + stage_two.seconds,
        weights_sha256=store.facts(artifacts.stage_two)["weights_sha256"],
    )
    return MeasuredRun(row, tuple(tables[STAGE_TWO]["id"].to_pylist()), right)


def _stage_cost(store: ArtifactStore, stage: ArtifactRef, training_images: int) -> StageCost:
    facts = store.facts(stage)
    seconds = facts["training_seconds"] + facts["feature_seconds"]
    return StageCost(
        resolution=facts["fit"]["resolution"],
        epochs=facts["epochs"],
        seconds=seconds,
        images_per_second=facts["epochs"] * training_images / seconds,
        peak_memory_bytes=facts.get("peak_memory_bytes"),
    )
