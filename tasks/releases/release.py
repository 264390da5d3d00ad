"""What a release says about itself: `release.json`, its id, and the short form that commands show. No TensorFlow."""

import re
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import AfterValidator, model_validator

from thaw.pipeline_config.errors import PublishError
from thaw.pipeline_config.preprocessing import Preprocessing, upgraded_input
from thaw.pipeline_config.schema import RECIPE_NAME
from thaw.pipeline_config.stage_schema import StageName
from thaw.tasks.artifacts.document import Document
from thaw.tasks.artifacts.manifest import digest_of
from thaw.tasks.artifacts.refusals import reading
from thaw.tasks.releases.abstention import Abstention
from thaw.tasks.releases.checksums import CHECKSUMS_NAME, read_checksums, verify_file
from thaw.tasks.releases.verdict import VERDICT_NAME, Outcome, ReleasedModel, TestMetrics, Verdict, upgraded_outcome

RELEASE_NAME = "release.json"
LABELS_NAME = "labels.txt"
CARD_NAME = "README.md"
RECIPE_FILE_NAME = "recipe.yaml"
RESOLVED_RECIPE_FILE_NAME = "recipe.resolved.yaml"

_ID_DIGITS = 12  # hexadecimal: 48 bits, so that among a million releases two collide with probability 0.002
_ID = re.compile(rf"(?P<recipe>{RECIPE_NAME})-[0-9a-f]{{{_ID_DIGITS}}}")

_Document = TypeVar("_Document", bound=Document)


def release_id(recipe: str, content: Any) -> str:
    """Name a release after its content, a JSON document: the recipe's name and twelve hexadecimal digits."""
    return f"{recipe}-{digest_of(content)[:_ID_DIGITS]}"


def recipe_of(release: str) -> str | None:
    """Take the recipe's name from a release's id; None for what is no such id."""
    match = _ID.fullmatch(release)
    return match["recipe"] if match else None


def _check_id(release: str) -> str:
    if recipe_of(release) is None:
        raise ValueError(f"{release!r} is not the id of a release")
    return release


# Ids become paths, so that one that was read is checked like one that was typed.
ReleaseId = Annotated[str, AfterValidator(_check_id)]


class Release(Document):
    """The contents of `release.json`.

    Attributes:
        id: The release's name.
        recipe: The recipe's name.
        verdict: What the comparison said when the release was made.
        compared_with: Id of the release that it was compared with.
        evaluation: Digest of the evaluation.
        classes: Class names, in the order of the model's outputs.
        input: What becomes of an image file before the model sees it.
        test: Metrics on the test split.
        made_from: Kind and digest of each artifact and source, by name.
        libraries: Versions of Python and of the libraries.
        thaw: Version of thaw.
        stage: Whose model it is.
        temperature: What the model's logits are divided by, in its weights; None in an older release, as 1.
        abstain: Which of its answers count; None where all do.
        started_from: Id of the release whose weights its training started from, if any.
        stage_one_request: Digest of what its first stage was asked, by which a run that is repeated is known.
    """

    id: ReleaseId
    recipe: str
    verdict: Outcome
    compared_with: str | None
    evaluation: str
    classes: list[str]
    input: Preprocessing
    test: TestMetrics
    made_from: dict[str, dict[str, str]]
    libraries: dict[str, str]
    thaw: str
    stage: StageName = "stage_two"
    temperature: float | None = None
    abstain: Abstention | None = None
    started_from: str | None = None
    stage_one_request: str | None = None

    FORM: ClassVar[int] = 2

    @property
    def model(self) -> ReleasedModel:
        """What of it decides how it answers."""
        digests = {name: source.get("digest") for name, source in self.made_from.items()}
        return ReleasedModel(release=self.id, weights=digests.get(self.stage), dataset=digests.get("dataset"))

    @model_validator(mode="after")
    def _check_recipe(self) -> Self:
        if recipe_of(self.id) != self.recipe:
            raise ValueError(f"{self.id} is no release of {self.recipe}")
        return self

    @classmethod
    def upgrade(cls, document: dict[str, Any], form: int) -> dict[str, Any]:
        """Form 0 had a resolution and a crop for an input, and until form 1 a verdict could be "not better"."""
        upgraded = document | {"verdict": upgraded_outcome(document.get("verdict"))}
        return upgraded if form else upgraded | {"input": upgraded_input(document.get("input", {}))}


class ReleaseInfo(TestMetrics):
    """A release as it is shown: its document in short, its metrics, and what is true of it now.

    Attributes:
        is_champion: Whether it is its recipe's champion now.
        path: Its folder.
    """

    id: str
    recipe: str
    verdict: Outcome
    compared_with: str | None
    evaluation: str
    is_champion: bool
    path: Path

    @property
    def published(self) -> datetime:
        """When it came into its folder, by the machine's clock: for lists, and nothing else."""
        return datetime.fromtimestamp((self.path / CHECKSUMS_NAME).stat().st_mtime).astimezone()


def read_release(folder: Path) -> Release:
    """Read what a release, or a release artifact, says about itself. Of its files, only this one is checked.

    Raises:
        PublishError: A file is missing or damaged.
        UnreadableError: It cannot be read now.
        NewerVersionError: A later version of thaw wrote it.
    """
    return _read(folder, RELEASE_NAME, Release)


def read_verdict(folder: Path) -> Verdict:
    """Read which verdict a release was made with, in the same way."""
    return _read(folder, VERDICT_NAME, Verdict)


def read_in_place(folder: Path) -> Release:
    """Read a release where it is used; raises PublishError besides where its folder is not named by its id."""
    release = read_release(folder)
    if release.id != folder.name:
        raise PublishError(
            f"{folder} holds release {release.id}: a release counts only in the folder of its name. "
            f"Rename it to {release.id}, or remove it."
        )
    return release


def _read(folder: Path, name: str, model: type[_Document]) -> _Document:
    path = folder / name
    verify_file(folder, name, read_checksums(folder))
    try:
        with reading(path):
            content = path.read_bytes()
        return model.from_json(content, path)
    except (OSError, ValueError) as error:
        raise PublishError(
            f"{path} does not describe a release as this version of thaw does. Run the recipe again."
        ) from error
