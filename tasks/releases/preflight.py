"""What a look at new images, before anything is trained, says of them. No TensorFlow."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from thaw.tasks.artifacts.step import Facts

PREFLIGHT_NAME = "preflight.json"
FEATURE_DRIFT_NAME = "feature_drift.json"

_NAMED = 5

Respect = Literal["class mix", "size", "brightness", "features"]


class Changes(BaseModel):
    """What became of the images since a release learned from them."""

    model_config = ConfigDict(frozen=True)

    added: int
    removed: int
    relabelled: int = Field(description="that were there, and are of another class now")
    moved: int = Field(description="that were there, and are in another split now")
    unknown: int = Field(description="that were there, and of whose class a release of an earlier thaw does not say")
    classes_added: list[str]
    classes_removed: list[str]

    @property
    def new(self) -> int:
        """Images that teach what the release has not seen: they are new, or their label is."""
        return self.added + self.relabelled

    @property
    def is_none(self) -> bool:
        """Whether it is known that nothing changed that training depends on."""
        counted = self.new + self.removed + self.moved + self.unknown
        return not (counted or self.classes_added or self.classes_removed)

    @property
    def sentence(self) -> str:
        """Say it on one line."""
        counts = {name: getattr(self, name) for name in ("added", "removed", "relabelled", "moved")}
        words = [f"{count:,} {name}" for name, count in counts.items() if count]
        parts = [", ".join(words) if words else "no image added, removed, relabelled or moved"]
        if self.unknown:
            parts.append(f"{self.unknown:,} of whose class before nothing is known")
        for names, what in ((self.classes_added, "new classes"), (self.classes_removed, "classes gone")):
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            parts += [f"{what}: {', '.join(names[:_NAMED])}{more}"] if names else []
        return "; ".join(parts)


class Drift(BaseModel):
    """Whether the images that were added are like those that a release learned from, in one respect."""

    model_config = ConfigDict(frozen=True)

    of: Respect
    test: str = Field(description="the statistical test")
    statistic: float
    p_value: float
    level: float = Field(description="the p value up to which there is a drift")

    @property
    def is_shown(self) -> bool:
        """Whether there is one."""
        return self.p_value <= self.level

    @property
    def sentence(self) -> str:
        """Say that there is one."""
        return f"The new images differ in {self.of} ({self.test}, p = {self.p_value:.2g}, below {self.level:.2g})."


class PreflightFacts(Facts):
    """The contents of `preflight.json`."""

    champion: str | None = Field(description="the release that the images were compared with")
    images: int
    duplicates: int = Field(description="files that were left out, because another has the same content")
    changes: Changes | None = Field(description="null where there is no champion, or it does not say")
    drift: list[Drift] = Field(description="of the added images; empty where nothing was tested")
    not_tested: str | None = Field(default=None, description="why no drift was looked for, or none in the features")
    warnings: list[str] = Field(default=[], description="one line each")


class FeatureDriftFacts(Facts):
    """The contents of `feature_drift.json`."""

    drift: Drift | None = Field(description="of the added images; null where their features were not compared")
    not_tested: str | None = Field(default=None, description="why they were not compared")
    warnings: list[str] = Field(default=[], description="one line each")

    @property
    def sentence(self) -> str:
        """Say it on one line."""
        if self.drift is None:
            return f"the new images' features were not compared: {self.not_tested}"
        return f"the new images' features: {self.drift.test}, p = {self.drift.p_value:.2g}"

    def beside(self, looked: PreflightFacts) -> PreflightFacts:
        """Put it beside what was found in the images themselves."""
        found = {
            "drift": looked.drift if self.drift is None else [*looked.drift, self.drift],
            "not_tested": self.sentence if self.drift is None else None,
            "warnings": [*looked.warnings, *self.warnings],
        }
        return looked.model_copy(update=found)
