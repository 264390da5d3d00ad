"""The request for a trained stage, and what its key is made of."""

from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from thaw.pipeline_config.errors import RecipeError
from thaw.pipeline_config.schema import Devices, ModelConfig, Precision
from thaw.pipeline_config.stage_schema import StageConfig
from thaw.tasks.artifacts.file_digests import FileDigests
from thaw.tasks.artifacts.manifest import ArtifactRef, digest_of
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
    # No reference: what the champion was made from is nothing to what starts from it, and need not be kept for it.
    champion: str | None = Field(default=None, description="digest of the champion's stage, if this one starts from it")
    start_note: str | None = Field(default=None, description="what is to be said of the start")
    start_warning: str | None = Field(default=None, description="why it is not the one that the recipe asks for")
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
        for name in ("stages_after", "start_note", "start_warning"):
            del document[name]
        if self.weights_sha256 is not None:
            document["model"]["weights"] = None
        return document

    @property
    def champion_stage(self) -> ArtifactRef | None:
        """The champion's stage, if this one starts from it."""
        return None if self.champion is None else ArtifactRef(kind=TrainStep.kind, digest=self.champion)


class TrainStep(ClassifierStep):
    """Make a stage artifact: `model.json`, `model.weights.h5`, `history.parquet` and `stage.json`.

    The random numbers of stages differ by their names.
    """

    kind: ClassVar[str] = "stage"
    work: ClassVar[str] = "thaw.tasks.training.work:train_stage"
    facts: ClassVar[type[Facts]] = StageFacts

    stage: StageConfig
    shrink: float = Field(default=1, description="share that is left of each weight of the champion that is trained")
    perturb: float = Field(default=0, description="share of a fresh network's weight that is added to it")
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


def request_digest(key_document: dict[str, Any]) -> str:
    """Digest what a stage was asked, whether or not it learned from features: by the document of its key."""
    depends_on = key_document["depends_on"] | {"features_key": None}
    return digest_of(key_document | {"depends_on": depends_on})


def weights_digest(config: ModelConfig, digests: FileDigests) -> str | None:
    """Digest the weights file that a network starts from: its content is part of the key, its path is not.

    None where it starts from no file.

    Raises:
        RecipeError: The file cannot be read.
    """
    if config.first_weights in (None, "imagenet"):
        return None
    path = Path(str(config.first_weights))
    (digest,) = digests.sha256_of([path])
    if isinstance(digest, OSError):
        raise RecipeError(
            f"model.weights: {path} cannot be read: {digest.strerror}. Expected a Keras weights file, "
            "imagenet, champion or null."
        ) from digest
    return digest
