"""The recipe's `dataset` and `records` parts: where images come from, how they are split and stored."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from pipeline_config.strict import Strict

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")


class SourceConfig(Strict):
    """Base of every source.

    Attributes:
        not_in_key: Fields that say where the images are, or how much may be read, but not which images they are.
    """

    not_in_key: ClassVar[frozenset[str]] = frozenset()

    def of_this_machine(self) -> dict[str, str]:
        """Say which fields name a place on this machine.

        Returns:
            For each of them what stands in its place in a release; with it, the source must be valid.
        """
        return {}


class DigitsSource(SourceConfig):
    """scikit-learn's 1,797 handwritten digits, 8 × 8 pixels; they ship with the library."""

    kind: Literal["digits"]


class DirectorySource(SourceConfig):
    """A folder of class folders, or of train, validation and test folders of class folders."""

    not_in_key: ClassVar[frozenset[str]] = frozenset({"path"})

    kind: Literal["directory"]
    path: str = Field(
        min_length=1, description="relative to the recipe's file, or to the current folder for a shipped one"
    )

    def of_this_machine(self) -> dict[str, str]:
        """The folder."""
        return {"path": "images"}


Source = Annotated[DigitsSource | DirectorySource, Field(discriminator="kind")]


class Cut(Strict):
    """A split that the source lacks: a share of another split's images, chosen by the hash of each image's content."""

    from_: SplitName = Field(alias="from")
    fraction: float = Field(gt=0, lt=1)


def _split_form(value: Any) -> str:
    # A mapping is a cut; all else is read as the name of a split that the source has.
    return "cut_form" if isinstance(value, dict | Cut) else "name_form"


class SplitsConfig(Strict):
    """Where each split comes from. A split that the source has is used as it is; a split that it lacks is cut."""

    train: Literal["train"] = "train"
    validation: Annotated[
        Annotated[Literal["validation"], Tag("name_form")] | Annotated[Cut, Tag("cut_form")], Discriminator(_split_form)
    ] = Cut(from_="train", fraction=0.15)
    test: Annotated[
        Annotated[Literal["test"], Tag("name_form")] | Annotated[Cut, Tag("cut_form")], Discriminator(_split_form)
    ] = Cut(from_="train", fraction=0.15)

    @model_validator(mode="after")
    def _check_cuts(self) -> Self:
        cuts = {name: cut for name in ("validation", "test") if isinstance(cut := getattr(self, name), Cut)}
        for name, cut in cuts.items():
            if cut.from_ == name:
                raise ValueError(f"{name} cannot be cut from itself. Use another split, such as train.")
        if len(cuts) == 2 and cuts["validation"].from_ == "test" and cuts["test"].from_ == "validation":
            raise ValueError("validation and test cannot each be cut from the other. Cut one of them from train.")
        taken = sum(cut.fraction for cut in cuts.values() if cut.from_ == "train")
        if taken >= 1:
            raise ValueError(
                f"validation and test take {taken:g} of train together, which leaves it empty. Use less than 1."
            )
        return self


class DatasetConfig(Strict):
    """The images, their labels, and what is tolerated among them."""

    source: Source
    splits: SplitsConfig = SplitsConfig()
    max_bad_fraction: float = Field(default=0, ge=0, lt=1, description="share of files that may be unreadable")
    max_pixels: int = Field(
        default=50_000_000, ge=1, description="an image whose header declares more is refused unread"
    )


class RecordsConfig(Strict):
    """How images are stored in TFRecord shards."""

    max_side: int | None = Field(default=None, ge=8, description="pixels; larger images are shrunk to this longer side")
    shard_megabytes: float = Field(default=16, gt=0, description="size at which a shard is closed, in 10^6 bytes")
