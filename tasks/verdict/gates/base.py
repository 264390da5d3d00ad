"""What every gate offers, and the words in which all of them speak. No TensorFlow."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from thaw.pipeline_config.publish_schema import Rule
from thaw.tasks.releases.verdict import Comparison, Outcome
from thaw.tasks.verdict.statistics import images_needed

SomeRule = TypeVar("SomeRule", bound=Rule)

_ONE_POINT = 0.01  # the gain that is asked about where none was seen


@dataclass(frozen=True)
class Rival:
    """A release that a new model was compared with, and how that came out."""

    release: str
    compared: Comparison


@dataclass(frozen=True)
class Decision:
    """What a gate says: how it came out, whether to promote, and why, in sentences behind those about the figures."""

    outcome: Outcome
    promote: bool
    why: str = ""


class Gate(ABC, Generic[SomeRule]):
    """One rule for the champion's place.

    `opens_unasked` says whether it lets a model through that could not be compared, or that does not beat the answer
    that is always the largest class.
    """

    opens_unasked: ClassVar[bool] = False

    def __init__(self, rule: SomeRule) -> None:
        """Apply a rule as a recipe sets it."""
        self.rule = rule

    @abstractmethod
    def decide(self, champion: Rival, anchor: Rival | None) -> Decision:
        """Decide on a model that was compared with the champion, and with the anchor where there is another."""

    def first(self, compared: Comparison) -> bool:
        """Say whether the first model of a recipe, compared with the largest class, becomes the champion."""
        return compared.gained > compared.lost

    def shown(self, compared: Comparison) -> Outcome:
        """Say what the figures show: a gain at the rule's confidence, a loss where the whole interval is below 0.

        No promotion hangs on the word "worse", so it does not contradict the interval that stands beside it.
        """
        if compared.p_better <= self.level:
            return "better"
        return "worse" if compared.difference_ci[1] < 0 else "not shown"

    def needed(self, compared: Comparison) -> str:
        """Say about how many images it would take to show the gain that was seen, else a gain of a point."""
        discordance = (compared.gained + compared.lost) / compared.images
        gain = compared.difference if compared.difference > 0 else _ONE_POINT
        count = images_needed(gain, discordance, self.rule.confidence)
        if compared.difference <= 0 and count <= compared.images:
            return f"A gain of {gain * 100:.1f} points would most likely have been shown on so many images."
        return f"To show a gain of {gain * 100:.1f} points would take about {_rounded(count):,} images."

    @property
    def level(self) -> float:
        """The largest p value at which something is said to be shown."""
        return 1 - self.rule.confidence + 1e-12  # 1 - 0.9 is a little less than 0.1


def _rounded(count: int) -> int:
    """Two digits: more would claim to be known."""
    digits = max(len(str(count)) - 2, 0)
    return round(count, -digits)
