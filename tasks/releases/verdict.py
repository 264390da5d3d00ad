"""The verdict on a new model: what is compared, with what, and how it came out. No TensorFlow."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from thaw.pipeline_config.errors import ArtifactError
from thaw.tasks.artifacts.step import Facts

VERDICT_NAME = "verdict.json"
METRICS_NAME = "metrics.json"

Outcome = Literal["first", "better", "not better"]


class TestMetrics(BaseModel):
    """What is compared of a model's metrics on the test split."""

    __test__ = False  # pytest takes a class of this name for a test

    model_config = ConfigDict(frozen=True)

    examples: int
    accuracy: float = Field(description="share that is classified rightly, 0 to 1")
    accuracy_ci: tuple[float, float] = Field(description="low and high end of its interval, 0 to 1")


class ChampionMetrics(TestMetrics):
    """The release, by its id, that a new model is compared with."""

    release: str


class Verdict(Facts):
    """The contents of `verdict.json`."""

    verdict: Outcome = Field(description='"first" where there is nothing to compare with')
    candidate: TestMetrics
    champion: ChampionMetrics | None
    reason: str = Field(description="one sentence")


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
