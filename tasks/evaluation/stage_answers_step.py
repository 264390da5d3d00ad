"""The request for what both stages' weights answer on the test split, and what its key is made of."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.artifacts.step import Facts
from thaw.tasks.evaluation.step import JudgingStep
from thaw.tasks.process import Work

STAGE_ONE = "stage_one"
STAGE_ONE_AT_STAGE_TWO = "stage_one_at_stage_two"
STAGE_TWO = "stage_two"
ANSWERS = (STAGE_ONE, STAGE_ONE_AT_STAGE_TWO, STAGE_TWO)  # so that what only the resolution changed can be told apart


class AnswersSummary(BaseModel):
    """How some weights did on the test split."""

    model_config = ConfigDict(frozen=True)

    examples: int
    accuracy: float
    loss: float


class StageAnswersFacts(Facts):
    """A summary for each of `ANSWERS`."""

    answers: dict[str, AnswersSummary]


class StageAnswersStep(JudgingStep):
    """Make a stage answers artifact: a predictions table of the test split for each of `ANSWERS`.

    Stage one's weights answer for images as stage one sees them, and as stage two does; stage two's as it sees them.
    """

    kind: ClassVar[str] = "stage_answers"
    work: ClassVar[str] = "thaw.tasks.evaluation.stage_answers:answer"
    facts: ClassVar[type[Facts]] = StageAnswersFacts
    libraries: ClassVar[tuple[str, ...]] = ("tensorflow", "keras", "numpy", "pyarrow")

    records: ArtifactRef
    stage_one: ArtifactRef
    stage_two: ArtifactRef
    batch_size: int


class StageAnswersWork(Work):
    """What the child process gets."""

    step: StageAnswersStep


def table_name(answers: str) -> str:
    """Name the file of a predictions table, by one of `ANSWERS`."""
    return f"{answers}.parquet"
