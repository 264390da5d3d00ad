"""What each set of weights answers on the test split, and what stage two earned by it. No TensorFlow.

Stage one's weights answer twice: for images as stage one sees them, and as stage two does. So what only the resolution
changed is told apart from what stage two's training changed.

A plan reads these facts, and has no use for numpy and pyarrow, which take a tenth of a second to import.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Self

from pydantic import BaseModel, ConfigDict, Field

from thaw.tasks.evaluation.intervals import agresti_min_interval, wilson_interval

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

STAGE_ONE: Final = "stage_one"
STAGE_ONE_AT_STAGE_TWO = "stage_one_at_stage_two"
STAGE_TWO: Final = "stage_two"
# The files of an evaluation with the answers. Those of the model that is released stand in `PREDICTIONS_NAME`, too.
ANSWERS = {name: f"{name}.parquet" for name in (STAGE_ONE, STAGE_ONE_AT_STAGE_TWO, STAGE_TWO)}


class Answered(BaseModel):
    """How some weights did at a resolution, in pixels; the shares are 0 to 1."""

    model_config = ConfigDict(frozen=True)

    resolution: int
    correct: int
    accuracy: float
    accuracy_ci: tuple[float, float]


class Gain(BaseModel):
    """How some answers differ from others for the same images, in accuracy, -1 to 1."""

    model_config = ConfigDict(frozen=True)

    gained: int = Field(description="images that these alone have right")
    lost: int = Field(description="images that the others alone have right")
    difference: float
    difference_ci: tuple[float, float] = Field(description="Agresti and Min's interval for pairs")

    @classmethod
    def of(cls, right: "npt.NDArray[np.bool_]", other: "npt.NDArray[np.bool_]", confidence: float) -> Self:
        """Compare two sets of answers, each by whether it is right, (images,), with an interval at a level."""
        images, gained, lost = len(right), int((right & ~other).sum()), int((other & ~right).sum())
        interval = agresti_min_interval(gained, lost, images, confidence)
        return cls(gained=gained, lost=lost, difference=(gained - lost) / images, difference_ci=interval)

    @property
    def is_shown(self) -> bool:
        """Whether the interval shows a gain."""
        return self.difference_ci[0] > 0

    @property
    def conclusion(self) -> str:
        """What the interval shows, in a sentence."""
        low, high = self.difference_ci
        if low <= 0 <= high:
            return "The interval holds 0: no gain is shown."
        return "A gain is shown." if self.is_shown else "A loss is shown."

    @property
    def points(self) -> str:
        """The difference in points, such as "+1.4"."""
        return f"{100 * self.difference:+.1f}"

    def __str__(self) -> str:
        """Write it with its interval, such as "+1.4 points (-0.4 to +3.3)"."""
        low, high = (f"{100 * end:+.1f}" for end in self.difference_ci)
        return f"{self.points} points ({low} to {high})"


class StagesTested(BaseModel):
    """Both stages' weights on the same test images; `confidence` is the level of all intervals."""

    model_config = ConfigDict(frozen=True)

    examples: int
    confidence: float
    stage_one: Answered
    stage_one_at_stage_two: Answered
    stage_two: Answered
    earned: Gain = Field(description="by stage two over stage one, each at its own resolution")
    resolution_earned: Gain = Field(description="by stage one's weights, from its own resolution to stage two's")
    training_earned: Gain = Field(description="by stage two's training, at its resolution")

    @classmethod
    def of(cls, tables: "Mapping[str, pa.Table]", resolutions: Mapping[str, int], confidence: float) -> Self:
        """Sum up the predictions tables, by the names in `ANSWERS`; all are about the same images in the same order."""
        from thaw.tasks.evaluation.predictions import right_answers

        examples = tables[STAGE_TWO].num_rows
        right = {name: right_answers(table) for name, table in tables.items()}

        def gain(after: str, before: str) -> Gain:
            return Gain.of(right[after], right[before], confidence)

        def answered(name: str) -> Answered:
            correct = int(right[name].sum())
            low, high = wilson_interval(correct, examples, confidence)
            accuracy = correct / examples
            return Answered(resolution=resolutions[name], correct=correct, accuracy=accuracy, accuracy_ci=(low, high))

        return cls(
            examples=examples,
            confidence=confidence,
            stage_one=answered(STAGE_ONE),
            stage_one_at_stage_two=answered(STAGE_ONE_AT_STAGE_TWO),
            stage_two=answered(STAGE_TWO),
            earned=gain(STAGE_TWO, STAGE_ONE),
            resolution_earned=gain(STAGE_ONE_AT_STAGE_TWO, STAGE_ONE),
            training_earned=gain(STAGE_TWO, STAGE_ONE_AT_STAGE_TWO),
        )

    @property
    def steps(self) -> list[tuple[str, Answered, Gain | None]]:
        """What leads from stage one to stage two: the weights in words, how they did, and what that is to the last.

        Where both stages look at images in the same way, there is nothing between them.
        """
        between = (
            []
            if self.stage_one_at_stage_two == self.stage_one
            else [("the same weights", self.stage_one_at_stage_two, self.resolution_earned)]
        )
        return [("stage one", self.stage_one, None), *between, ("stage two", self.stage_two, self.training_earned)]

    @property
    def sentence(self) -> str:
        """What stage two earned, on one line."""
        one, same, two = self.stage_one, self.stage_one_at_stage_two, self.stage_two
        parts = between = ""
        if same != one:
            parts = (
                f", {self.resolution_earned.points} by its resolution and {self.training_earned.points} by its training"
            )
            between = f", {same.accuracy:.4f} by its weights at {two.resolution} px"
        return (
            f"Stage two earned {self.earned}{parts}: test accuracy {one.accuracy:.4f} by stage one at "
            f"{one.resolution} px{between}, {two.accuracy:.4f} by stage two. {self.earned.conclusion}"
        )
