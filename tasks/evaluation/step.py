"""The request for an evaluation, and what its key is made of."""

from typing import ClassVar

from thaw.pipeline_config.schema import EvaluateConfig
from thaw.pipeline_config.stage_schema import StageConfig
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.artifacts.step import Step
from thaw.tasks.process import Work


class EvaluateStep(Step):
    """Make an evaluation artifact: predictions, `metrics.json`, `history.parquet`, `pictures/` and `report.html`.

    Attributes:
        recipe_name: The recipe's name, for the report's title.
        records: The records artifact; its test split is judged.
        stage_one: The first stage, for its learning curves.
        stage_two: The second stage, whose model is judged.
        stage_one_settings: The recipe's `stage_one`, for the report.
        stage_two_settings: The recipe's `stage_two`, for the report.
        evaluate: The recipe's `evaluate`.
        seed: The recipe's seed; it chooses the images that are shown.
    """

    kind: ClassVar[str] = "evaluation"
    work: ClassVar[str] = "thaw.tasks.evaluation.work:evaluate"
    shares_process: ClassVar[bool] = True
    libraries: ClassVar[tuple[str, ...]] = (
        "tensorflow",
        "keras",
        "numpy",
        "scipy",
        "scikit-learn",
        "matplotlib",
        "pillow",
        "pyarrow",
        "jinja2",
    )

    recipe_name: str
    records: ArtifactRef
    stage_one: ArtifactRef
    stage_two: ArtifactRef
    stage_one_settings: StageConfig
    stage_two_settings: StageConfig
    evaluate: EvaluateConfig
    seed: int


class EvaluateWork(Work):
    """What the child process gets."""

    step: EvaluateStep
