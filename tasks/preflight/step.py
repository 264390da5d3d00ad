"""The request for a look at the images before training, and what its key is made of. No TensorFlow."""

from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from thaw.pipeline_config.retrain_schema import ChecksConfig
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.artifacts.step import Facts, Step
from thaw.tasks.process import Work
from thaw.tasks.releases.preflight import PreflightFacts


class PreflightStep(Step):
    """Make a preflight artifact: `preflight.json`, and `changes.parquet` where there is a champion to compare with.

    `champion` is a release that learned from another dataset. When this one's release has taken its place, there is
    nothing to compare with, so that what such a run asks for is made along with it.
    """

    kind: ClassVar[str] = "preflight"
    work: ClassVar[str] = "thaw.tasks.preflight.work:look"
    facts: ClassVar[type[Facts]] = PreflightFacts
    libraries: ClassVar[tuple[str, ...]] = ("numpy", "pyarrow", "scipy")

    dataset: ArtifactRef
    champion: str | None
    checks: ChecksConfig
    confidence: float
    features: bool = Field(description="whether features are compared as well, by a step of their own")

    def together(self) -> list[Step]:
        """Itself, and what is asked for once a release has learned from this dataset."""
        if self.champion is None:
            return [self]
        # A copy would keep the key, too.
        fields = {name: getattr(self, name) for name in PreflightStep.model_fields}
        alone = PreflightStep(**fields | {"champion": None})
        return [self, alone]


class PreflightTarget(BaseModel):
    """One of the artifacts that are made at once, and the folder to fill."""

    model_config = ConfigDict(frozen=True)

    step: PreflightStep
    folder: Path


class PreflightWork(Work):
    """What the child process gets; `also` is what else it makes."""

    step: PreflightStep
    also: list[PreflightTarget] = Field(default_factory=list)

    @property
    def targets(self) -> list[PreflightTarget]:
        """All that it makes."""
        return [PreflightTarget(step=self.step, folder=self.folder), *self.also]
