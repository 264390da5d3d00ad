"""The request for features, and what its key is made of. No TensorFlow."""

from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from thaw.pipeline_config.augment_schema import Augmentation
from thaw.pipeline_config.stage_schema import Train
from thaw.tasks.artifacts.step import Facts, Step
from thaw.tasks.process import Work
from thaw.tasks.training.step import ClassifierStep, TrainStep

FEATURES_KIND = "features"


class FeaturesFacts(Facts):
    """What was decided for a stage, and whether the disk had room for it."""

    has_room: bool
    decision: str
    bytes: int


class FeaturesStep(ClassifierStep):
    """Make a features artifact: what a stage's frozen layers put out for some views of each image, row by row.

    The request follows from that of the stage (`features_of`). `draws` names the stage whose seed the weights and the
    views come from. Where stage two begins with the frozen layers of stage one, on the same pictures, these are stage
    one's: then one pass over the images makes both artifacts, and each is the same as if it were made alone. The rows
    of images that earlier features have are taken over from there.
    """

    kind: ClassVar[str] = FEATURES_KIND
    work: ClassVar[str] = "thaw.tasks.training.features.work:compute_features"
    facts: ClassVar[type[Facts]] = FeaturesFacts
    rows_of: ClassVar[tuple[str, ...]] = ("records",)

    draws: str
    resolution: int
    augment: list[Augmentation]
    train: Train = Field(description="what the stage thaws; what is kept is the last output before that")
    views: int = Field(ge=1, description="of each training image")
    forced: bool = Field(description="whether the recipe asks for these views, whatever they cost")
    also: "FeaturesStep | None" = Field(default=None, description="stage two's, which the same pass can make")

    def depends_on(self) -> dict[str, Any]:
        """Leave out what has no influence on the rows."""
        document = super().depends_on()
        for name in ("dropout", "head_batch_norm"):  # they come after the pooled features
            del document["model"][name]
        del document["also"]
        return document

    def together(self) -> list[Step]:
        """Itself, and stage two's where the same pass makes it."""
        return [self] if self.also is None else [self, self.also]

    def is_cacheable(self, facts: Facts) -> bool:
        """Whether the disk had room; if it had none, another time it may have."""
        return not isinstance(facts, FeaturesFacts) or facts.has_room


class FeaturesTarget(BaseModel):
    """One of the artifacts that a pass makes, and the folder to fill."""

    model_config = ConfigDict(frozen=True)

    step: FeaturesStep
    folder: Path


class FeaturesWork(Work):
    """What the child process gets; `also` is what else it makes in the same pass."""

    step: FeaturesStep
    also: list[FeaturesTarget] = Field(default_factory=list)

    @property
    def targets(self) -> list[FeaturesTarget]:
        """All that the pass makes."""
        return [FeaturesTarget(step=self.step, folder=self.folder), *self.also]


def features_of(stage: TrainStep, draws: str, views: int) -> FeaturesStep:
    """Ask for what a stage's frozen layers put out."""
    return FeaturesStep(
        **{name: getattr(stage, name) for name in ClassifierStep.model_fields},
        draws=draws,
        resolution=stage.stage.fit.resolution,
        augment=stage.stage.augment or [],
        train=stage.stage.train,
        views=views,
        forced=stage.stage.feature_views != "auto",
    )
