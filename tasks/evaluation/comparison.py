"""Is the new model better than the champion? The request for a verdict, and the rule. No TensorFlow.

The work is a comparison of two small documents, so it is done in the flow's process, without a child.
"""

from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline_config.errors import ArtifactError
from tasks.artifacts.atomic import writing
from tasks.artifacts.manifest import ArtifactRef
from tasks.artifacts.step import Step
from tasks.artifacts.store import ArtifactStore, write_json
from tasks.process import Work

VERDICT_NAME = "verdict.json"
METRICS_NAME = "metrics.json"

Outcome = Literal["first", "better", "not better"]


class TestMetrics(BaseModel):
    """What is compared of a model's metrics on the test split.

    Attributes:
        examples: Number of images.
        accuracy: Share of them that is classified rightly, 0 to 1.
        accuracy_ci: Low and high end of the accuracy's interval, 0 to 1.
    """

    __test__ = False  # pytest takes a class of this name for a test

    model_config = ConfigDict(frozen=True)

    examples: int
    accuracy: float
    accuracy_ci: tuple[float, float]


class Opponent(TestMetrics):
    """The release that a new model is compared with.

    Attributes:
        release: Its id.
    """

    release: str


class Verdict(BaseModel):
    """The contents of `verdict.json`.

    Attributes:
        verdict: "first" where there is nothing to compare with.
        candidate: The new model's metrics.
        champion: The release that it was compared with, and its metrics.
        reason: One sentence.
    """

    model_config = ConfigDict(frozen=True)

    verdict: Outcome
    candidate: TestMetrics
    champion: Opponent | None
    reason: str


class VerdictStep(Step):
    """Make a verdict artifact: `verdict.json`.

    Attributes:
        evaluation: The new model's evaluation.
        opponent: What it is compared with; None for the first model of its recipe.
    """

    kind: ClassVar[str] = "verdict"
    work: ClassVar[str] = "tasks.evaluation.comparison:compare"
    libraries: ClassVar[tuple[str, ...]] = ()

    evaluation: ArtifactRef
    opponent: Opponent | None


class VerdictWork(Work):
    """What `compare` gets."""

    step: VerdictStep


def compare(work: VerdictWork) -> dict[str, Any]:
    """Write the verdict on a new model.

    Args:
        work: The request.

    Returns:
        The verdict, a JSON document.

    Raises:
        ArtifactError: The evaluation is damaged, or the verdict cannot be written.
    """
    folder = ArtifactStore(work.home).open(work.step.evaluation)
    verdict = decide(read_test_metrics(folder), work.step.opponent).model_dump(mode="json")
    with writing(work.folder / VERDICT_NAME):
        write_json(work.folder / VERDICT_NAME, verdict)
    return verdict


def decide(candidate: TestMetrics, champion: Opponent | None) -> Verdict:
    """Apply the rule: a model is better if its accuracy on the test split is higher.

    Args:
        candidate: The new model's metrics.
        champion: What it is compared with.

    Returns:
        The verdict.
    """
    outcome: Outcome
    if champion is None:
        outcome, reason = "first", f"Test accuracy {_words(candidate)}; there is no champion to compare with."
    else:
        outcome = "better" if candidate.accuracy > champion.accuracy else "not better"
        relation = "higher than" if outcome == "better" else "not higher than"
        reason = f"Test accuracy {_words(candidate)}, {relation} the {_words(champion)} of {champion.release}."
    return Verdict(verdict=outcome, candidate=candidate, champion=champion, reason=reason)


def read_test_metrics(folder: Path) -> TestMetrics:
    """Read an evaluation's metrics on the test split.

    Args:
        folder: Folder of an evaluation artifact or of a release.

    Returns:
        What is compared of them.

    Raises:
        ArtifactError: The file is missing or damaged.
    """
    path = folder / METRICS_NAME

    class Document(BaseModel):
        test: TestMetrics

    try:
        return Document.model_validate_json(path.read_bytes()).test
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror or error}.") from error
    except ValidationError as error:
        raise ArtifactError(f"{path} does not hold the metrics of a test split. Run again to rebuild it.") from error


def _words(metrics: TestMetrics) -> str:
    return f"{metrics.accuracy:.4f} on {metrics.examples} images"
