"""The request for an evaluation, and what its key is made of."""

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from thaw.pipeline_config.schema import Devices, EvaluateConfig
from thaw.pipeline_config.stage_schema import StageName
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.artifacts.step import Facts, Step
from thaw.tasks.evaluation.earned import StagesTested
from thaw.tasks.process import Work


class TestSummary(BaseModel):
    """The metrics of the test split that are short enough for a table of runs; `metrics.json` has the rest."""

    __test__ = False  # pytest takes a class of this name for a test

    model_config = ConfigDict(frozen=True)

    examples: int
    correct: int
    accuracy: float
    accuracy_ci: tuple[float, float]
    confidence: float
    loss: float
    top_5_accuracy: float | None = Field(default=None, description="where there are more than five classes")
    macro_f1: float
    expected_calibration_error: float


class EvaluationFacts(Facts):
    """How the model did, and what its stages earned."""

    test: TestSummary
    stages: StagesTested


class JudgingStep(Step):
    """Base of the steps in which a finished model answers, on the devices that the recipe names.

    They are no part of the key, as those of training are: they change the last digits of probabilities at the most.
    """

    devices: Devices = "auto"

    def depends_on(self) -> dict[str, Any]:
        """All fields but the devices."""
        document = super().depends_on()
        del document["devices"]
        return document


class EvaluateStep(JudgingStep):
    """Make an evaluation artifact: predictions tables, `metrics.json` and `history.parquet`.

    A stage's model is judged with its temperature, on the test split: its answers are `predictions.parquet`. Those of
    `ANSWERS` say what each stage earned.
    """

    kind: ClassVar[str] = "evaluation"
    work: ClassVar[str] = "thaw.tasks.evaluation.work:evaluate"
    facts: ClassVar[type[Facts]] = EvaluationFacts
    libraries: ClassVar[tuple[str, ...]] = ("tensorflow", "keras", "numpy", "scipy", "scikit-learn", "pyarrow")

    records: ArtifactRef
    stage_one: ArtifactRef
    stage_two: ArtifactRef
    judged: StageName
    temperature: float
    evaluate: EvaluateConfig

    def depends_on(self) -> dict[str, Any]:
        """All fields; of `evaluate`, not what the temperature was found by, nor what no metric depends on."""
        document = super().depends_on()
        del document["evaluate"]["calibrate"], document["evaluate"]["abstain"]
        return document


class EvaluateWork(Work):
    """What the child process gets."""

    step: EvaluateStep
