"""The verdict on a new model: with what it was compared, on which images, and how it came out. No TensorFlow."""

from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from thaw.pipeline_config.errors import ArtifactError
from thaw.tasks.artifacts.step import Facts

VERDICT_NAME = "verdict.json"
FLIPS_NAME = "flips.parquet"
METRICS_NAME = "metrics.json"

Outcome = Literal["first", "better", "not worse", "worse", "not shown", "not comparable", "vetoed"]


class TestMetrics(BaseModel):
    """What is compared of a model's metrics on the test split."""

    __test__ = False  # pytest takes a class of this name for a test

    model_config = ConfigDict(frozen=True)

    examples: int
    accuracy: float = Field(description="share that is classified rightly, 0 to 1")
    accuracy_ci: tuple[float, float] = Field(description="low and high end of its interval, 0 to 1")


class ReleasedModel(BaseModel):
    """What of a release decides how it answers, and which images it has learned from."""

    model_config = ConfigDict(frozen=True)

    release: str
    weights: str | None = Field(description="digest of the stage that has them; null in an old verdict")
    dataset: str | None = Field(description="digest of the dataset that it was trained on; null in an old verdict")


class Comparison(BaseModel):
    """What two models, the new one and another, answered for the same images."""

    model_config = ConfigDict(frozen=True)

    images: int = Field(description="that were compared: test images which the other has not learned from")
    left_out: int = Field(description="test images which the other has learned from, or may have")
    gained: int = Field(description="images that the new model alone has right")
    lost: int = Field(description="images that the other alone has right")
    accuracy: float = Field(description="the new model's on these images, 0 to 1; 0 where there are none")
    other_accuracy: float = Field(description="the other's")
    difference_ci: tuple[float, float] = Field(description="95 % interval of the first less the second")
    p_better: float = Field(description="one-sided mid-p value that the new model is better")
    p_worse: float = Field(description="one-sided mid-p value that it is worse")

    @property
    def difference(self) -> float:
        """The new model's accuracy less the other's."""
        return self.accuracy - self.other_accuracy


class Looks(BaseModel):
    """How often a set of test images has judged the models of a recipe, as far as that is known."""

    model_config = ConfigDict(frozen=True)

    test_split: str = Field(description="names the set: the SHA-256 of the images' sorted ids")
    before: int = Field(description="models that it judged before this one")
    among: int = Field(description="models that it judged beside the same champion, this one included")


class SliceResult(BaseModel):
    """How the new model did on a part of the test images."""

    model_config = ConfigDict(frozen=True)

    name: str = Field(description="by what the images were parted, as `evaluate.slices` has it")
    value: str = Field(description="which part")
    images: int
    accuracy: float
    accuracy_ci: tuple[float, float] = Field(description="low and high end of its interval, 0 to 1")
    compared: Comparison | None = Field(description="with the champion, on this part alone; null without one")


class Broken(BaseModel):
    """An image that must stay right, and is wrong."""

    model_config = ConfigDict(frozen=True)

    image: str = Field(description="its id or its file, as the recipe has it, or where it is in the folder")
    class_name: str
    predicted_class: str


class Verdict(Facts):
    """The contents of `verdict.json`."""

    FORM: ClassVar[int] = 2

    verdict: Outcome = Field(description='"first" where no release was there to compare with')
    promote: bool = Field(description="whether the release is to take the champion's place")
    reason: str = Field(description="one sentence or a few, on one line")
    candidate: TestMetrics
    champion: ReleasedModel | None
    anchor: ReleasedModel | None = Field(description="where the rule asks for it, and it is not the champion")
    warnings: list[str] = Field(default=[], description="one line each")
    compared: Comparison | None = Field(description="with the champion, or without one with the largest class")
    compared_with_anchor: Comparison | None
    compared_on_new: Comparison | None = Field(
        default=None,
        description="with the champion, on images that had no part in choosing it, if there are enough",
    )
    looks: Looks | None = Field(default=None, description="null in an old verdict")
    slices: list[SliceResult] = Field(default=[], description="of each name, the largest first")
    broken: list[Broken] = Field(default=[], description="images of `publish.must_not_break` that are wrong")

    @classmethod
    def upgrade(cls, document: dict[str, Any], form: int) -> dict[str, Any]:
        """Before form 2, accuracies on different images were compared."""
        del form
        champion = document.get("champion")
        return document | {
            "verdict": upgraded_outcome(document.get("verdict")),
            "promote": document.get("verdict") != "not better",
            "champion": champion and {"release": champion["release"], "weights": None, "dataset": None},
            "anchor": None,
            "compared": None,
            "compared_with_anchor": None,
        }


def upgraded_outcome(outcome: Any) -> Any:
    """What an outcome of form 1 is called now."""
    return "not shown" if outcome == "not better" else outcome


class _Metrics(BaseModel):
    test: TestMetrics


def read_test_metrics(folder: Path) -> TestMetrics:
    """Read what is compared of an evaluation's metrics; raises ArtifactError where they are missing or damaged."""
    path = folder / METRICS_NAME
    try:
        return _Metrics.model_validate_json(path.read_bytes()).test
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror or error}.") from error
    except ValidationError as error:
        raise ArtifactError(f"{path} does not hold the metrics of a test split. Run again to rebuild it.") from error
