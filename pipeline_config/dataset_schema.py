"""The recipe's `dataset` and `records` parts: where images come from, how they are split and stored."""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any, ClassVar, Literal, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from thaw.pipeline_config.messages import received
from thaw.pipeline_config.strict import MOST_CLASSES, PathOrAddress, PathText, Strict

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")

LabelConflicts = Literal["error", "leave_out"]


class SourceConfig(Strict):
    """Base of every source.

    The fields in `not_in_key` say where the images are, or how much may be read, but not which images they are. A
    source that `has_columns` is a table, whose columns `evaluate.slices` may name. What `may_change` under the same
    recipe can be watched.
    """

    not_in_key: ClassVar[frozenset[str]] = frozenset()
    has_columns: ClassVar[bool] = False
    may_change: ClassVar[bool] = False

    def of_this_machine(self) -> dict[str, str]:
        """Say which fields name a place on this machine, and what stands in its place in a release.

        With that, the source must be valid.
        """
        return {}


class DigitsSource(SourceConfig):
    """scikit-learn's 1,797 handwritten digits, 8 × 8 pixels; they ship with the library."""

    kind: Literal["digits"]


class DirectorySource(SourceConfig):
    """A folder of class folders, or of train, validation and test folders of class folders."""

    not_in_key: ClassVar[frozenset[str]] = frozenset({"path"})
    may_change: ClassVar[bool] = True

    kind: Literal["directory"]
    path: PathText = Field(description="relative to the recipe's file, or to the current folder for a shipped one")

    def of_this_machine(self) -> dict[str, str]:
        """The folder."""
        return {"path": "images"}


def _parts_of(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:  # whose message may quote a part of a password
        raise ValueError("must be the address of a file, as in https://host/images.zip") from None
    return parts


class ArchiveSource(SourceConfig):
    """A zip or tar file that is downloaded; in it a folder as `DirectorySource` has it."""

    not_in_key: ClassVar[frozenset[str]] = frozenset({"url", "max_members", "max_gigabytes"})

    kind: Literal["archive"]
    url: str
    sha256: str
    subdirectory: str | None = None
    max_members: int = Field(default=500_000, ge=1, le=100_000_000)
    max_gigabytes: float = Field(
        default=20, gt=0, le=100_000, description="10^9 bytes: of the file, and of its members together"
    )

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        if not url.isascii() or not url.isprintable() or " " in url:
            # The sentence holds "Received" so that what was written is not repeated: who knows where a secret ends?
            raise ValueError(
                "must be plain ASCII without spaces; write all else as %20 and the like. Received: another"
            )
        parts = _parts_of(url)
        if parts.scheme not in ("http", "https", "file"):
            raise ValueError("must begin with https://, http:// or file://")
        if parts.scheme != "file" and not parts.hostname:
            raise ValueError("must name a host, as in https://host/images.zip")
        if parts.scheme == "file" and (parts.netloc not in ("", "localhost") or not parts.path):
            raise ValueError("must name a file of this machine, as in file:///data/images.zip")
        if parts.username is not None or parts.password is not None:
            raise ValueError("must not hold a user name or a password, as releases state it. Received: one that does")
        return url

    @field_validator("sha256")
    @classmethod
    def _check_sha256(cls, sha256: str) -> str:
        if not re.fullmatch(r"[0-9a-f]{64}", sha256):
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
    has_columns: ClassVar[bool] = True
    may_change: ClassVar[bool] = True

    kind: Literal["csv"]
    path: PathText
    path_column: str = Field(min_length=1)
    label_column: str = Field(min_length=1)
    split_column: str | None = Field(default=None, min_length=1)

    def of_this_machine(self) -> dict[str, str]:
        """The table, and so the folder with the images."""
        return {"path": "images.csv"}


def _places_form(value: Any) -> str:
    if isinstance(value, dict):
        return "mapping_form"
    return "list_form" if isinstance(value, list) else "name_form"


PlaceList = Annotated[list[PathOrAddress], Field(min_length=1, max_length=100_000)]
OneOrMore = Annotated[PathOrAddress, Tag("name_form")] | Annotated[PlaceList, Tag("list_form")]
Places = Annotated[OneOrMore, Discriminator(_places_form)]
PlacesOfSplits = Annotated[dict[SplitName, Places], Field(min_length=1, max_length=len(SPLITS))]


def _places_in(places: str | list[str] | Mapping[SplitName, str | list[str]]) -> list[str]:
    if isinstance(places, Mapping):
        return [place for of_split in places.values() for place in _places_in(of_split)]
    return places if isinstance(places, list) else [places]


class ParquetSource(SourceConfig):
    """Rows of Parquet files, here or in an object store: an encoded image in one column, its label in another."""

    not_in_key: ClassVar[frozenset[str]] = frozenset({"path"})
    has_columns: ClassVar[bool] = True
    may_change: ClassVar[bool] = True

    kind: Literal["parquet"]
    path: Annotated[OneOrMore | Annotated[PlacesOfSplits, Tag("mapping_form")], Discriminator(_places_form)] = Field(
        description="a file or a glob, local or s3:// or gs://; a list of them; or a mapping of splits to either"
    )
    image_column: str = Field(default="image", min_length=1, description="bytes, or a struct with a field bytes")
    label_column: str = Field(default="label", min_length=1, description="integers, which need names, or strings")
    names: list[str] | None = Field(
        default=None,
        min_length=1,
        max_length=MOST_CLASSES,
        description="class names in the order of the labels; null: from the files",
    )
    split_column: str | None = Field(default=None, min_length=1, description="strings, named as folders of splits are")

    def of_this_machine(self) -> dict[str, str]:
        """The files, unless all are in an object store."""
        is_local = any("://" not in place or place.startswith("file:") for place in _places_in(self.path))
        return {"path": "images.parquet"} if is_local else {}

    @model_validator(mode="after")
    def _check(self) -> Self:
        if any(
            re.match(r"\w+://[^/]*@", place) for place in _places_in(self.path)
        ):  # a recipe is kept, shown and released
            raise ValueError("path must hold no keys of an object store. Give them by the environment.")
        if self.split_column is not None and isinstance(self.path, dict):
            raise ValueError("split_column has no use where path names the splits. Leave out one of the two.")
        if self.names is not None and len(set(self.names)) < len(self.names):
            (twice, _), *_ = Counter(self.names).most_common(1)
            raise ValueError(f"names must differ from each other. Received {received(twice)} twice.")
        return self


class TfdsSource(SourceConfig):
    """A data set of tensorflow-datasets, prepared already or downloaded and prepared by it."""

    not_in_key: ClassVar[frozenset[str]] = frozenset({"data_dir"})

    kind: Literal["tfds"]
    name: str = Field(pattern=r"^[a-z]\w*(/[\w.+-]+)?$", description="such as tf_flowers, or name/config")
    version: str = Field(pattern=r"^\d+\.\d+\.\d+$", description="such as 3.0.1")
    splits: dict[SplitName, Annotated[str, Field(min_length=1)]] = Field(
        min_length=1,
        max_length=len(SPLITS),
        description="for each split, what it is made of, in TFDS's words, such as train[:90%]",
    )
    data_dir: PathText | None = Field(
        default=None, description="where it is prepared; null: downloaded into the home folder"
    )
    image_feature: str = Field(default="image", min_length=1)
    label_feature: str = Field(default="label", min_length=1)

    def of_this_machine(self) -> dict[str, str]:
        """The folder of prepared data sets, if the recipe names one."""
        return {} if self.data_dir is None else {"data_dir": "tensorflow_datasets"}


Source = Annotated[
    DigitsSource | DirectorySource | ArchiveSource | CsvSource | ParquetSource | TfdsSource,
    Field(discriminator="kind"),
]


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
    seed: int | None = Field(
        default=None, ge=0, lt=2**31, description="of the splits that are cut; the recipe's seed where it is not given"
    )
    label_conflicts: LabelConflicts = Field(default="error", description="of equal files that have different labels")
    max_bad_fraction: float = Field(default=0, ge=0, lt=1, description="share of files that may be unreadable")
    max_pixels: int = Field(
        default=50_000_000, ge=1, le=10**10, description="an image whose header declares more is refused unread"
    )


class RecordsConfig(Strict):
    """How images are stored in TFRecord shards."""

    max_side: int | None = Field(
        default=None, ge=8, le=100_000, description="pixels; larger images are shrunk to this longer side"
    )
    shard_megabytes: float = Field(
        default=16, gt=0, le=100_000, description="size at which a shard is closed, in 10^6 bytes"
    )
