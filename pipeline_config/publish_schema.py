"""The recipe's `publish`: what a release holds, and what makes it the champion."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag

from thaw.pipeline_config.strict import MOST_CLASSES, PathText, Strict

# What writes and reads each is in `tasks/formats`, with TensorFlow.
FormatName = Literal["keras", "saved_model"]


class Rule(Strict):
    """When a new model takes the champion's place; both answer for the same test images.

    `uses_anchor` says whether it looks at the anchor, too: the last champion that was more than not worse.
    """

    uses_anchor: ClassVar[bool] = False

    confidence: float = Field(default=0.9, ge=0.5, lt=1, description="from which on a difference is said to be shown")


class Better(Rule):
    """Promote a model that is shown to be better: the one-sided mid-p value of McNemar's test is small enough."""

    rule: Literal["better"]


class NotWorse(Rule):
    """Promote a model that is shown to be worse by less than a margin, by Tango's score test."""

    uses_anchor: ClassVar[bool] = True

    rule: Literal["not_worse"]
    margin: float = Field(default=0.01, gt=0, lt=1, description="difference in accuracy; 0.01 is one point")
    confidence: float = Field(default=0.95, ge=0.5, lt=1, description="that a promoted model is not worse")


class Higher(Rule):
    """Promote a model that is right on more of the images, be it one."""

    rule: Literal["higher"]


class Never(Rule):
    """Leave it all to `thaw releases promote`."""

    rule: Literal["never"]


class Always(Rule):
    """Promote every model."""

    rule: Literal["always"]


def _long_form(value: Any) -> Any:
    return {"rule": value} if isinstance(value, str) else value


Require = Annotated[
    Annotated[Better | NotWorse | Higher | Never | Always, Discriminator("rule")], BeforeValidator(_long_form)
]


Share = Annotated[float, Field(ge=0, le=1)]


# By what of an image the test images are parted: by these, or by a column of the source's table.
DERIVED_SLICES = ("size", "brightness", "folder")
SliceName = Annotated[str, Field(min_length=1, max_length=100)]
MOST_SLICES = 20


class Floors(Strict):
    """What a model must reach on the test split to be promoted, whatever the comparison says."""

    accuracy: Share | None = None
    macro_f1: Share | None = None
    worst_class_recall: Share | None = Field(default=None, description="of the class that has the lowest")
    recall: dict[str, Share] = Field(default={}, max_length=MOST_CLASSES, description="class name to the lowest recall")
    calibration_error: Share | None = Field(default=None, description="the highest expected calibration error")
    slices: dict[SliceName, Annotated[dict[str, Share], Field(max_length=MOST_CLASSES)]] = Field(
        default={},
        max_length=MOST_SLICES,
        description="slice to the lowest accuracy on each of its parts, by their names",
    )
    megabytes: float | None = Field(
        default=None, gt=0, le=1_000_000, description="the largest size of the weights, in 10^6 bytes"
    )
    milliseconds: float | None = Field(
        default=None, gt=0, le=1_000_000, description="the longest time for an image alone, on the machine that trains"
    )


_MOST_KEPT = 100_000

MustNotBreak = Annotated[
    Annotated[PathText, Tag("folder_form")]
    | Annotated[
        list[Annotated[str, Field(min_length=1)]],
        Field(min_length=1, max_length=_MOST_KEPT),
        Tag("list_form"),
    ],
    Discriminator(lambda value: "list_form" if isinstance(value, list | tuple) else "folder_form"),
]


class Approval(Strict):
    """Whether a person is asked before a new model takes the champion's place."""

    hours: float = Field(default=24, gt=0, le=24 * 366, description="without an answer, after which the champion stays")


def _approval_form(value: Any) -> Any:
    return ({} if value else None) if isinstance(value, bool) else value


class PublishConfig(Strict):
    """What a release holds, and what makes it the champion."""

    formats: list[FormatName] = Field(default=["keras", "saved_model"], min_length=1, max_length=100)
    require: Require = Field(
        default=Better(rule="better"),
        description="rule for the champion's place: better, not_worse, higher, never or always",
    )
    floors: Floors = Floors()
    max_negative_flips: Share | None = Field(
        default=None, description="highest share of the champion's right answers that the new model may have wrong"
    )
    guard_classes: bool = Field(
        default=False, description="whether a class that is shown to be worse forbids the promotion, or is a warning"
    )
    must_not_break: MustNotBreak | None = Field(
        default=None, description="a folder of class folders, or files or ids of test images: each must be right"
    )
    prefer_simpler: bool = Field(
        default=False, description="release stage one's model unless stage two's is shown to be better on validation"
    )
    approval: Annotated[Approval | None, BeforeValidator(_approval_form)] = Field(
        default=None, description="true, or hours: the run pauses until a person has decided in the Prefect UI"
    )
    min_examples: int = Field(
        default=30, ge=1, le=10**9, description="test images that a comparison needs, which neither has learned from"
    )
