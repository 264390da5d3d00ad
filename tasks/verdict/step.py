"""The requests for what others answer for the test images, and for the verdict, and what their keys are made of."""

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from thaw.pipeline_config.preprocessing import Preprocessing
from thaw.pipeline_config.publish_schema import PublishConfig
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.artifacts.step import Facts
from thaw.tasks.evaluation.step import JudgingStep
from thaw.tasks.process import Work
from thaw.tasks.releases.verdict import Looks, ReleasedModel, Verdict

LARGEST_CLASS = "largest_class"
CHAMPION = "champion"
ANCHOR = "anchor"


class Score(BaseModel):
    """How one of those that a new model is compared with did on the test images."""

    model_config = ConfigDict(frozen=True)

    right: int
    images: int
    learned_from: int


class BaselineFacts(Facts):
    """Who answered, with a score for each table."""

    champion: ReleasedModel | None
    anchor: ReleasedModel | None
    scores: dict[str, Score]
    test_split: str = Field(description="names the set of test images, by `name_of_split`")


class BaselineStep(JudgingStep):
    """Make a baseline artifact: what others answer for the test images, a table each.

    They are the champion, and the anchor where there is one; where there is no champion, the answer is always the class
    that has the most training images.
    """

    kind: ClassVar[str] = "baseline"
    work: ClassVar[str] = "thaw.tasks.verdict.baseline:answer"
    facts: ClassVar[type[Facts]] = BaselineFacts
    libraries: ClassVar[tuple[str, ...]] = ("tensorflow", "keras", "numpy", "pyarrow")

    records: ArtifactRef
    champion: ReleasedModel | None
    anchor: ReleasedModel | None

    @property
    def models(self) -> dict[str, ReleasedModel]:
        """The releases that answer, by the names of their tables."""
        named = {CHAMPION: self.champion, ANCHOR: self.anchor}
        return {name: model for name, model in named.items() if model is not None}


class BaselineWork(Work):
    """What `answer` gets."""

    step: BaselineStep


class VerdictStep(JudgingStep):
    """Make a verdict artifact: `verdict.json`, and `flips.parquet`, the images that one of the two models has right.

    Where `publish.must_not_break` is a folder, `kept` is the digest of what it holds; the model answers for its
    images, which it gets as `input` says. Where it is a list, `kept` has what it calls each image, by the image's id.
    The dataset is for the slices.
    """

    kind: ClassVar[str] = "verdict"
    work: ClassVar[str] = "thaw.tasks.verdict.work:judge"
    facts: ClassVar[type[Facts]] = Verdict
    libraries: ClassVar[tuple[str, ...]] = ("tensorflow", "keras", "numpy", "pyarrow", "scipy")

    dataset: ArtifactRef | None = Field(description="for slices; null where there are none, because it has file names")
    model: ArtifactRef = Field(description="the stage whose model is judged")
    input: Preprocessing
    evaluation: ArtifactRef
    baseline: ArtifactRef
    champion: ReleasedModel | None
    anchor: ReleasedModel | None
    looks: Looks
    publish: PublishConfig
    kept: str | dict[str, str] | None
    slices: list[str]

    def depends_on(self) -> dict[str, Any]:
        """All fields but the devices; of `publish`, not what other fields say, or what no verdict depends on."""
        document = super().depends_on()
        for name in ("formats", "approval", "prefer_simpler"):
            del document["publish"][name]
        if self.kept is not None:
            del document["publish"]["must_not_break"]
        return document


class VerdictWork(Work):
    """What `judge` gets."""

    step: VerdictStep


def table_name(name: str) -> str:
    """Name the file of a baseline's table."""
    return f"{name}.parquet"
