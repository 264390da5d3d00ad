"""The recipe's `retrain` and `checks`: when there is a need to train, and what is looked at in the images before."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from thaw.pipeline_config.strict import Strict

Level = Literal["warn", "stop"]
# The checks are in `tasks/preflight/checks`.
CheckName = Literal["class_lost", "class_images", "class_held_out", "duplicates", "similar_names"]


class MinNewImages(Strict):
    """Train when so many images are there that the champion has not learned from, or that have another label now."""

    min_new_images: int = Field(ge=1, le=10**9)


def _when_form(value: Any) -> str:
    # Names the member that the value means, so that its complaint is the only one that is shown.
    return "mapping_form" if isinstance(value, dict | MinNewImages) else "word_form"


When = Annotated[
    Annotated[Literal["always", "changed", "drifted"], Tag("word_form")] | Annotated[MinNewImages, Tag("mapping_form")],
    Discriminator(_when_form),
]


class RetrainConfig(Strict):
    """When there is a need to train; nothing here changes a result, so nothing here is part of a stage's cache key."""

    when: When = Field(default="always", description="always, changed, drifted, or {min_new_images: number}")
    confidence: float = Field(
        default=0.99,
        ge=0.5,
        le=0.998,
        description="from which on a drift is said to be shown, by all its tests together",
    )
    features: bool = Field(
        default=False, description="whether what stage one's frozen layers put out is compared as well"
    )
    on: list[Literal["folder"]] = Field(
        default=[], max_length=1, description="what starts a run under `thaw serve`, besides the schedule"
    )
    settle_seconds: float = Field(
        default=30, ge=1, le=86_400, description="for which the images must be unchanged; a copy takes its time"
    )
    stale_after_days: float | None = Field(
        default=30, ge=0.001, le=3650, description="without a new model, promoted or kept; null: it never is"
    )


Share = Annotated[float, Field(gt=0, le=1)]


class ChecksConfig(Strict):
    """What of the images is warned of before anything is trained, or stops the run."""

    class_lost: Share = Field(default=0.5, description="share of its images that a class has fewer than it had")
    class_images: int = Field(default=10, ge=0, le=10**9, description="images that a class needs, in all splits")
    class_held_out: int = Field(
        default=1, ge=0, le=10**9, description="images that a class needs in validation, and as many in test"
    )
    duplicates: Share = Field(default=0.2, description="share of the files of which another has the same content")
    similar_names: bool = Field(default=True, description="whether names are looked at that differ in little")
    levels: dict[CheckName, Level] = Field(default={}, max_length=5, description="warn, where it says nothing")
