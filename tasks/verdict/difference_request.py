"""The request for the difference between two releases, and what comes of it, without TensorFlow."""

from pydantic import BaseModel, ConfigDict, Field

from thaw.pipeline_config.schema import Devices
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.home import Home
from thaw.tasks.releases.verdict import Comparison, Outcome, ReleasedModel


class DifferenceWork(BaseModel):
    """What the child process gets: the releases, and the images that both answer for."""

    model_config = ConfigDict(frozen=True)

    home: Home
    judged: ReleasedModel
    other: ReleasedModel
    records: ArtifactRef = Field(description="whose test split is asked about")
    dataset: ArtifactRef | None = Field(description="has the names of the files; null where it is not there any more")
    devices: Devices


class Flip(BaseModel):
    """An image that exactly one of two releases has right."""

    model_config = ConfigDict(frozen=True)

    id: str
    file: str | None = Field(description="where it is in its source, where that is still known")
    class_name: str
    judged_class: str = Field(description="what the release that is judged answers")
    judged_probability: float
    other_class: str
    other_probability: float


class Difference(BaseModel):
    """How a release does beside another."""

    model_config = ConfigDict(frozen=True)

    judged: str
    other: str
    verdict: Outcome = Field(description="by rule better, at its default confidence")
    reason: str
    compared: Comparison
    flips: list[Flip] = Field(description="what got worse first; the surest answers first")
