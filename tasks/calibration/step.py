"""The request for a calibration, and what its key is made of."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from thaw.pipeline_config.schema import AbstainConfig
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.artifacts.step import Facts
from thaw.tasks.evaluation.step import JudgingStep
from thaw.tasks.process import Work
from thaw.tasks.releases.abstention import Abstention

CALIBRATION_NAME = "calibration.json"


class Reliability(BaseModel):
    """How well probabilities fit what is right, on the validation split."""

    model_config = ConfigDict(frozen=True)

    loss: float = Field(description="cross-entropy, nats")
    expected_calibration_error: float


class CalibrationFacts(Facts):
    """The contents of `calibration.json`: what was found on the validation split."""

    images: int
    right: int = Field(description="images that the model classifies rightly")
    temperature: float = Field(description="by which the logits are divided; 1 leaves them alone")
    before: Reliability = Field(description="with temperature 1")
    after: Reliability
    abstain: Abstention | None = Field(description="null where the recipe does not ask for it")


class CalibrateStep(JudgingStep):
    """Make a calibration artifact: `calibration.json`. The second stage's model answers for the validation split."""

    kind: ClassVar[str] = "calibration"
    work: ClassVar[str] = "thaw.tasks.calibration.work:calibrate"
    facts: ClassVar[type[Facts]] = CalibrationFacts
    libraries: ClassVar[tuple[str, ...]] = ("tensorflow", "keras", "numpy", "scipy")

    records: ArtifactRef
    stage_two: ArtifactRef
    calibrate: bool
    abstain: AbstainConfig | None
    batch_size: int


class CalibrateWork(Work):
    """What the child process gets."""

    step: CalibrateStep
