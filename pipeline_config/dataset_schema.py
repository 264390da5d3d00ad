"""The recipe's `dataset` and `records` parts: where images come from, how they are split and stored."""

import re
from pathlib import PurePosixPath
from typing import Annotated, Any, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from pipeline_config.strict import Strict

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")

_SHA256 = re.compile(r"[0-9a-f]{64}")


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


class ArchiveSource(SourceConfig):
    """A zip or tar file that is downloaded; in it a folder as `DirectorySource` has it."""

    not_in_key: ClassVar[frozenset[str]] = frozenset({"url", "max_members", "max_gigabytes"})

    kind: Literal["archive"]
    url: str
    sha256: str
    subdirectory: str | None = None
    max_members: int = Field(default=500_000, ge=1)
    max_gigabytes: float = Field(default=20, gt=0, description="10^9 bytes: of the file, and of its members together")

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https", "file"):
            raise ValueError("must begin with https://, http:// or file://")
        if parts.scheme != "file" and not parts.hostname:
            raise ValueError("must name a host, as in https://host/images.zip")
        if parts.scheme == "file" and (parts.netloc not in ("", "localhost") or not parts.path):
            raise ValueError("must name a file of this machine, as in file:///data/images.zip")
        if parts.username is not None or parts.password is not None:
            # The sentence holds "Received" so that what was written is not repeated.
            raise ValueError("must not hold a user name or a password, as releases state it. Received: one that does")
        if not url.isascii() or not url.isprintable() or " " in url:
            raise ValueError("must be plain ASCII without spaces; write other characters as %20 and the like")
        return url

    @field_validator("sha256")
    @classmethod
    def _check_sha256(cls, sha256: str) -> str:
        if not _SHA256.fullmatch(sha256):
            raise ValueError("must be 64 digits, 0 to 9 and a to f, as sha256sum prints them")
        return sha256

    @field_validator("subdirectory")
    @classmethod
    def _check_subdirectory(cls, subdirectory: str | None) -> str | None:
        if subdirectory is not None:
            path = PurePosixPath(subdirectory)
            if not path.parts or path.is_absolute() or ".." in path.parts:
                raise ValueError("must be the path of a folder in the archive, such as images/all")
        return subdirectory

    def of_this_machine(self) -> dict[str, str]:
        """The URL, if it is that of a file."""
        return {"url": "file:///images.zip"} if urlsplit(self.url).scheme == "file" else {}


class CsvSource(SourceConfig):
    """A table of paths and labels, as comma-separated values with a line of column names."""

    not_in_key: ClassVar[frozenset[str]] = frozenset({"path", "path_column", "label_column", "split_column"})

    kind: Literal["csv"]
    path: str = Field(min_length=1)
    path_column: str = Field(min_length=1)
    label_column: str = Field(min_length=1)
    split_column: str | None = Field(default=None, min_length=1)

    def of_this_machine(self) -> dict[str, str]:
        """The table, and so the folder with the images."""
        return {"path": "images.csv"}


Source = Annotated[DigitsSource | DirectorySource | ArchiveSource | CsvSource, Field(discriminator="kind")]


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
