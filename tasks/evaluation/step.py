"""The request for an evaluation, and what its key is made of."""

from typing import ClassVar

from pipeline_config.schema import EvaluateConfig
from tasks.artifacts.manifest import ArtifactRef
from tasks.artifacts.step import Step
from tasks.process import Work


class EvaluateStep(Step):
    """Make an evaluation artifact: `predictions.parquet`, `metrics.json`, `history.parquet`, `pictures/`, `report.html`.

    Attributes:
        recipe_name: The recipe's name, for the report's title.
        records: The records artifact; its test split is judged.
        stage_one: The first stage, for its learning curves.
        stage_two: The second stage, whose model is judged.
        evaluate: The recipe's `evaluate`.
        seed: The recipe's seed; it chooses the images that are shown.
    """

    kind: ClassVar[str] = "evaluation"
    work: ClassVar[str] = "tasks.evaluation.work:evaluate"
    libraries: ClassVar[tuple[str, ...]] = ("tensorflow", "keras", "numpy", "scikit-learn", "matplotlib")

    recipe_name: str
    records: ArtifactRef
    stage_one: ArtifactRef
    stage_two: ArtifactRef
    evaluate: EvaluateConfig
    seed: int


class EvaluateWork(Work):
    """What the child process gets."""

    step: EvaluateStep
