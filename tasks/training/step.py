"""The request for a trained stage, and what its key is made of."""

from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from thaw.pipeline_config.errors import RecipeError
from thaw.pipeline_config.schema import Devices, ModelConfig, Precision
from thaw.pipeline_config.stage_schema import StageConfig
from thaw.tasks.artifacts.file_digests import FileDigests
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.artifacts.step import Facts, Step
from thaw.tasks.process import Work
from thaw.tasks.training.stage_facts import StageFacts


class ClassifierStep(Step):
    """Base of the steps that compute with a classifier as a stage starts from it.

    The devices are part of the key because what several compute differs from what one does: in the order of sums, and
    in the batches whose statistics normalize.
    """

    libraries: ClassVar[tuple[str, ...]] = ("tensorflow", "keras", "numpy")

    name: str = Field(description="of the stage: stage_one or stage_two")
    records: ArtifactRef
    model: ModelConfig
    weights_sha256: str | None = Field(default=None, description="of the weights file, where the recipe names one")
    start: ArtifactRef | None = Field(default=None, description="the stage whose weights this one starts from")
    seed: int
    deterministic: bool = True
    precision: Precision = "float32"
    devices: Devices = "auto"
    stages_after: dict[str, StageConfig] = Field(
        default_factory=dict, description="by name, whose settings are checked before this stage takes its time"
    )

    def depends_on(self) -> dict[str, Any]:
        """What this stage computes from, and the digest of a weights file in place of its path."""
        document = super().depends_on()
        del document["stages_after"]
        if self.weights_sha256 is not None:
            document["model"]["weights"] = None
        return document


class TrainStep(ClassifierStep):
    """Make a stage artifact: `model.json`, `model.weights.h5`, `history.parquet` and `stage.json`.

    The random numbers of stages differ by their names.
    """

    kind: ClassVar[str] = "stage"
    work: ClassVar[str] = "thaw.tasks.training.work:train_stage"
    facts: ClassVar[type[Facts]] = StageFacts

    stage: StageConfig
    # Not the digest of that artifact, which is large and need not be there where the stage is: what it holds follows
    # from the key.
    features_key: str | None = Field(
        default=None, description="of what its frozen layers put out, if it learns from it"
    )

    def depends_on(self) -> dict[str, Any]:
        """Leave out what `features_key` says better."""
        document = super().depends_on()
        del document["stage"]["feature_views"]
        return document


class TrainWork(Work):
    """What the child process gets; the folder of checkpoints outlives it."""

    step: TrainStep
    checkpoints: Path
    checkpoint_every: int | None = None


def weights_digest(config: ModelConfig, digests: FileDigests) -> str | None:
    """Digest the weights file that a recipe names: its content is part of the key, its path is not.

    None where no file is named.

    Raises:
        RecipeError: The file cannot be read.
    """
    if config.weights in (None, "imagenet"):
        return None
    path = Path(str(config.weights))
    (digest,) = digests.sha256_of([path])
    if isinstance(digest, OSError):
        raise RecipeError(
            f"model.weights: {path} cannot be read: {digest.strerror}. Expected a Keras weights file, imagenet or null."
        ) from digest
    return digest
