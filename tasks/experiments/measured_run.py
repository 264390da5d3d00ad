"""One run of a comparison, measured: what it cost, and which test images it got right."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.artifacts.step import Cost
from thaw.tasks.artifacts.store import ArtifactStore
from thaw.tasks.evaluation.earned import ANSWERS
from thaw.tasks.evaluation.paired_difference import Bools
from thaw.tasks.evaluation.predictions import right_answers
from thaw.tasks.evaluation.step import EvaluationFacts
from thaw.tasks.releases.test_split import PREDICTIONS_NAME
from thaw.tasks.training.stage_facts import StageFacts

RELEASED = "released"
_TABLES = {**ANSWERS, RELEASED: PREDICTIONS_NAME}


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
        accuracy: Test accuracy of the model that would be released, which is stage two's unless the recipe prefers the
            simpler one.
        loss: Test loss of the same, in nats.
        stage_one_accuracy: Test accuracy of stage one's weights, at stage one's resolution.
        stage_one_at_stage_two_accuracy: That of the same weights, at stage two's resolution.
        stage_two_accuracy: That of stage two's weights.
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
    stage_two_accuracy: float
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
        right: For each of `ANSWERS`, and for `RELEASED`, whether each of those images was classified rightly.
    """

    row: RunRow
    image_ids: tuple[str, ...]
    right: Mapping[str, Bools]


@dataclass(frozen=True)
class TrainedStage:
    """A stage that a run has made: its artifact, its key, and the key of the features that it learned from, if any."""

    ref: ArtifactRef
    key: str
    features_key: str | None


def measured_run(
    store: ArtifactStore, recipe: str, seed: int, stages: Sequence[TrainedStage], evaluation: ArtifactRef
) -> MeasuredRun:
    """Read what a run left: its two stages, and the evaluation of both on the test split.

    Raises:
        ArtifactError: A file is missing or damaged.
    """
    facts = [store.facts(stage.ref, StageFacts) for stage in stages]
    costs = [_stage_cost(store, stage, each) for stage, each in zip(stages, facts, strict=True)]
    folder, tested = store.verified(evaluation), store.facts(evaluation, EvaluationFacts)
    tables = {name: pq.read_table(folder / file).sort_by("id") for name, file in _TABLES.items()}
    row = RunRow(
        recipe=recipe,
        seed=seed,
        test_images=tested.test.examples,
        accuracy=tested.test.accuracy,
        loss=tested.test.loss,
        stage_one_accuracy=tested.stages.stage_one.accuracy,
        stage_one_at_stage_two_accuracy=tested.stages.stage_one_at_stage_two.accuracy,
        stage_two_accuracy=tested.stages.stage_two.accuracy,
        stage_one=costs[0],
        stage_two=costs[1],
        training_seconds=sum(cost.seconds for cost in costs),
        weights_sha256=facts[-1].weights_sha256,
    )
    right = {name: right_answers(table) for name, table in tables.items()}
    return MeasuredRun(row, tuple(tables[RELEASED]["id"].to_pylist()), right)


def _stage_cost(store: ArtifactStore, stage: TrainedStage, facts: StageFacts) -> StageCost:
    cost = store.cost(stage.key) or Cost(seconds=0.0)
    features = store.cost(stage.features_key) if stage.features_key and facts.feature_views else None
    seconds = cost.seconds + (0.0 if features is None else features.seconds)
    return StageCost(
        resolution=facts.fit.resolution,
        epochs=facts.epochs,
        seconds=seconds,
        images_per_second=facts.epochs * facts.training_images / seconds if seconds else 0.0,
        peak_memory_bytes=cost.peak_memory_bytes,
    )
