"""The request for a calibration, and what its key is made of."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from thaw.pipeline_config.schema import AbstainConfig
from thaw.pipeline_config.stage_schema import StageName
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.artifacts.step import Facts
from thaw.tasks.evaluation.earned import Gain
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

    stage: StageName = Field(default="stage_two", description="whose model is calibrated, tested and released")
    gain: Gain | None = Field(default=None, description="of stage two over stage one; null where nothing was chosen")
    images: int
    right: int = Field(description="images that the model classifies rightly")
    temperature: float = Field(description="by which the logits are divided; 1 leaves them alone")
    before: Reliability = Field(description="with temperature 1")
    after: Reliability
    abstain: Abstention | None = Field(description="null where the recipe does not ask for it")

    @property
    def choice(self) -> str:
        """Why this stage's model is released, in sentences; nothing where no other one might have been."""
        if self.gain is None:
            return ""
        return (
            f"On {self.images:,} validation images stage two is {self.gain} beside stage one. {self.gain.conclusion} "
            f"So {self.stage.replace('_', ' ')}'s model is released (publish.prefer_simpler)."
        )


class CalibrateStep(JudgingStep):
    """Make a calibration artifact: `calibration.json`, by what models answer for the validation split.

    With a first stage, its model is chosen unless the second's is shown to be better there, by an interval whose level
    is `confidence`.
    """

    kind: ClassVar[str] = "calibration"
    work: ClassVar[str] = "thaw.tasks.calibration.work:calibrate"
    facts: ClassVar[type[Facts]] = CalibrationFacts
    libraries: ClassVar[tuple[str, ...]] = ("tensorflow", "keras", "numpy", "scipy")

    records: ArtifactRef
    stage_one: ArtifactRef | None
    stage_two: ArtifactRef
    confidence: float | None
    calibrate: bool
    abstain: AbstainConfig | None
    batch_size: int

    @property
    def stages(self) -> dict[StageName, ArtifactRef]:
        """The stages whose models answer."""
        two: dict[StageName, ArtifactRef] = {"stage_two": self.stage_two}
        return two if self.stage_one is None else {"stage_one": self.stage_one, **two}


class CalibrateWork(Work):
    """What the child process gets."""

    step: CalibrateStep
