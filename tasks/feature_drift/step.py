"""The request for a comparison of features, and what its key is made of. No TensorFlow."""

from typing import ClassVar

from pydantic import Field

from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.artifacts.step import Facts, Step
from thaw.tasks.process import Work
from thaw.tasks.releases.preflight import FeatureDriftFacts


class FeatureDriftStep(Step):
    """Make a feature drift artifact: `feature_drift.json`.

    It is asked for where `preflight` compared the images with a champion, and so no more once a release that learned
    from them has taken its place.
    """

    kind: ClassVar[str] = "feature_drift"
    work: ClassVar[str] = "thaw.tasks.feature_drift.work:compare_features"
    facts: ClassVar[type[Facts]] = FeatureDriftFacts
    libraries: ClassVar[tuple[str, ...]] = ("numpy",)

    records: ArtifactRef = Field(description="of the images whose features they are")
    features_key: str | None = Field(description="of stage one's features; null where none are kept")
    champion: str
    confidence: float


class FeatureDriftWork(Work):
    """What the child process gets."""

    step: FeatureDriftStep
