"""Which answers of a release count: those whose probability is above a threshold. No TensorFlow."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

NOTHING_IS_SURE = 1.0  # no probability is above it


class Answered(BaseModel):
    """What a threshold means for the images of a split."""

    model_config = ConfigDict(frozen=True)

    images: int
    answered: int = Field(description="images whose answer has a probability above the threshold")
    correct: int = Field(description="of those, images whose answer is right")

    @classmethod
    def above(cls, threshold: float, top: Any, right: Any) -> Self:
        """Count by arrays (images,): the probabilities of the answers, and whether these are right."""
        sure = top > threshold
        return cls(images=len(top), answered=int(sure.sum()), correct=int((sure & right).sum()))


class Abstention(BaseModel):
    """What `evaluate.abstain` asked for, and what was found."""

    model_config = ConfigDict(frozen=True)

    right: float = Field(description="share of the answers above the threshold that is right, at least")
    confidence: float = Field(description="with which the validation split shows that")
    threshold: float = Field(description="an answer whose probability is not above it is unsure; at 1 every answer is")
    validation: Answered
    test: Answered | None = None

    def is_unsure(self, probability: float) -> bool:
        """Say whether an answer of this probability does not count."""
        return probability <= self.threshold
