"""What a release says about itself: `release.json`, its id, and the short form that commands show. No TensorFlow."""

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from thaw.pipeline_config.errors import PublishError
from thaw.pipeline_config.schema import PublishConfig
from thaw.tasks.artifacts.manifest import ArtifactRef, digest_of
from thaw.tasks.releases.checksums import read_checksums, verify_file
from thaw.tasks.releases.verdict import VERDICT_NAME, Opponent, Outcome, TestMetrics, Verdict

RELEASE_NAME = "release.json"
LABELS_NAME = "labels.txt"
CARD_NAME = "README.md"
RECIPE_NAME = "recipe.yaml"

Document = TypeVar("Document", bound=BaseModel)

_ID_DIGITS = 12  # hexadecimal: 48 bits, so that among a million releases two collide with probability 0.002


class ModelInput(BaseModel):
    """What `model.keras` expects of an image.

    Attributes:
        resolution: Height and width, in pixels.
        center_crop: Share of the shorter side that is cut out first; None where the whole image is squeezed.
    """

    model_config = ConfigDict(frozen=True)

    resolution: int
    center_crop: float | None


class Release(BaseModel):
    """The contents of `release.json`.

    Attributes:
        id: The release's name.
        recipe: The recipe's name.
        verdict: What the comparison said when the release was made.
        compared_with: Id of the release that it was compared with.
        evaluation: Digest of the evaluation.
        classes: Class names, in the order of the model's outputs.
        input: What the model expects.
        test: Metrics on the test split.
        made_from: Kind and digest of each artifact and source, by name.
        libraries: Versions of Python and of the libraries.
        thaw: Version of thaw.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    recipe: str
    verdict: Outcome
    compared_with: str | None
    evaluation: str
    classes: list[str]
    input: ModelInput
    test: TestMetrics
    made_from: dict[str, dict[str, str]]
    libraries: dict[str, str]
    thaw: str


class ReleaseInfo(BaseModel):
    """A release as it is shown.

    Attributes:
        id: Its name.
        recipe: The recipe's name.
        verdict: What the comparison said when the release was made.
        compared_with: Id of the release that it was compared with.
        accuracy: On the test split, 0 to 1.
        accuracy_ci: Low and high end of the accuracy's interval.
        examples: Images in the test split.
        evaluation: Digest of the evaluation.
        is_champion: Whether it is its recipe's champion now.
        path: Its folder.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    recipe: str
    verdict: Outcome
    compared_with: str | None
    accuracy: float
    accuracy_ci: tuple[float, float]
    examples: int
    evaluation: str
    is_champion: bool
    path: Path

    def as_opponent(self) -> Opponent:
        """The release as another one's opponent."""
        return Opponent(release=self.id, examples=self.examples, accuracy=self.accuracy, accuracy_ci=self.accuracy_ci)


def release_id(recipe: str, evaluation: ArtifactRef, stage_two: ArtifactRef, publish: PublishConfig) -> str:
    """Name a release by what is in it, so that the same result gets the same name, whenever it is published.

    Args:
        recipe: The recipe's name.
        evaluation: The evaluation.
        stage_two: The stage whose model is released.
        publish: The recipe's `publish`.

    Returns:
        The recipe's name and twelve hexadecimal digits.
    """
    content: dict[str, Any] = {
        "evaluation": evaluation.digest,
        "stage_two": stage_two.digest,
        "publish": publish.model_dump(mode="json"),
    }
    return f"{recipe}-{digest_of(content)[:_ID_DIGITS]}"


def read_release(folder: Path) -> Release:
    """Read what a release says about itself; of its files, only this one is checked.

    Args:
        folder: A release's folder, or that of a release artifact.

    Returns:
        The contents of `release.json`.

    Raises:
        PublishError: A file is missing or damaged.
    """
    return _read(folder, RELEASE_NAME, Release)


def read_verdict(folder: Path) -> Verdict:
    """Read which verdict a release was made with; of its files, only this one is checked.

    Args:
        folder: A release's folder, or that of a release artifact.

    Returns:
        The contents of `verdict.json`.

    Raises:
        PublishError: A file is missing or damaged.
    """
    return _read(folder, VERDICT_NAME, Verdict)


def describe(release: Release, folder: Path, *, is_champion: bool) -> ReleaseInfo:
    """Put a release in the form that is shown.

    Args:
        release: What it says about itself.
        folder: Its folder.
        is_champion: Whether it is its recipe's champion.

    Returns:
        The short form.
    """
    return ReleaseInfo(
        **release.model_dump(include={"id", "recipe", "verdict", "compared_with", "evaluation"}),
        **release.test.model_dump(include={"accuracy", "accuracy_ci", "examples"}),
        is_champion=is_champion,
        path=folder,
    )


def _read(folder: Path, name: str, model: type[Document]) -> Document:
    verify_file(folder, name, read_checksums(folder))
    try:
        return model.model_validate_json((folder / name).read_bytes())
    except (OSError, ValidationError) as error:
        raise PublishError(
            f"{folder / name} does not describe a release as this version of thaw does. Run the recipe again."
        ) from error
