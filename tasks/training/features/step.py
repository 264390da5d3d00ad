"""The request for features, and what its key is made of. No TensorFlow."""

from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from thaw.pipeline_config.augment_schema import Augmentation
from thaw.pipeline_config.schema import Devices, ModelConfig, Precision
from thaw.pipeline_config.stage_schema import Train
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.artifacts.step import Step
from thaw.tasks.process import Work
from thaw.tasks.training.step import TrainStep

FEATURES_KIND = "features"


class Tap(BaseModel):
    """Where the outputs for one stage are taken.

    Attributes:
        stage: The stage's name.
        train: What it thaws; what is kept is the last output before that.
        views: How many views of each training image; at least 1.
        forced: Whether the recipe asks for these views, whatever they cost.
    """

    model_config = ConfigDict(frozen=True)

    stage: str
    train: Train
    views: int
    forced: bool


class FeaturesStep(Step):
    """Make a features artifact: `features.json`, and per tap `<stage>-view-<n>.npy` and `<stage>-validation.npy`.

    The request follows from that of the stage (`features_of`). Where stage two begins with the same frozen layers as
    stage one, on the same views, one request has a tap for each: the layers that both share are then run once.

    Attributes:
        name: The stage from which the first weights and the draws are: that of the first tap.
        records: The records artifact.
        model: As in the stage's request.
        weights_sha256: As in the stage's request.
        start: As in the stage's request.
        seed: The recipe's seed.
        deterministic: The recipe's `deterministic`.
        precision: The recipe's `precision`.
        devices: The recipe's `devices`.
        resolution: The stage's, in pixels.
        augment: The stage's, resolved.
        taps: One for each stage that is to use it.
    """

    kind: ClassVar[str] = FEATURES_KIND
    work: ClassVar[str] = "thaw.tasks.training.features.work:compute_features"
    libraries: ClassVar[tuple[str, ...]] = ("tensorflow", "keras", "numpy")
    shares_process: ClassVar[bool] = True

    name: str
    records: ArtifactRef
    model: ModelConfig
    weights_sha256: str | None
    start: ArtifactRef | None
    seed: int
    deterministic: bool
    precision: Precision
    devices: Devices
    resolution: int
    augment: list[Augmentation]
    taps: list[Tap]

    def depends_on(self) -> dict[str, Any]:
        """All fields, but the digest of a weights file in place of its path."""
        document = super().depends_on()
        if self.weights_sha256 is not None:
            document["model"]["weights"] = None
        for name in ("dropout", "head_batch_norm"):  # they come after the pooled features
            del document["model"][name]
        document["taps"] = {tap.pop("stage"): tap for tap in document["taps"]}  # so that a plan names the stage
        return document

    def lasts(self, facts: dict[str, Any]) -> bool:
        """Whether the disk had room; if it had none, another time it may have."""
        return bool(facts["room"])


class FeaturesWork(Work):
    """What the child process gets."""

    step: FeaturesStep


def features_of(stage: TrainStep, taps: Sequence[Tap]) -> FeaturesStep:
    """Ask for what a stage's frozen layers put out.

    Args:
        stage: The stage's request.
        taps: For that stage, and perhaps for one after it.

    Returns:
        The request.
    """
    return FeaturesStep(
        name=stage.name,
        records=stage.records,
        model=stage.model,
        weights_sha256=stage.weights_sha256,
        start=stage.start,
        seed=stage.seed,
        deterministic=stage.deterministic,
        precision=stage.precision,
        devices=stage.devices,
        resolution=stage.stage.fit.resolution,
        augment=stage.stage.augment or [],
        taps=list(taps),
    )
