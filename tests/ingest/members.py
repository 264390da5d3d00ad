"""How the same few pictures are laid out for each kind of source, for the contract that all sources share."""

import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow_datasets as tfds

from tests.ingest.archives import pack, sha256
from tests.ingest.pictures import directory
from thaw.pipeline_config.dataset_schema import ArchiveSource, CsvSource, ParquetSource, Source, SplitName, TfdsSource


@dataclass(frozen=True)
class Given:
    """A picture to lay out: encoded, of a class and a split, in a file of that name where there are files."""

    name: str
    class_name: str
    split: SplitName
    content: bytes


class Member(Protocol):
    """One kind of source."""

    can_state_empty_classes: bool

    def write(self, folder: Path, pictures: Sequence[Given], empty: str | None = None) -> tuple[Source, Path]:
        """Lay pictures out below a folder that it makes, with one more class that has none, if it is given.

        Returns what a recipe says of them, and the file or folder that a user would name.
        """


class OfDirectory:
    """Folders of splits, with class folders in them."""

    can_state_empty_classes = True

    def write(self, folder: Path, pictures: Sequence[Given], empty: str | None = None) -> tuple[Source, Path]:
        for path, content in _files(pictures, empty).items():
            place = folder / path
            (place if path.endswith("/") else place.parent).mkdir(parents=True, exist_ok=True)
            if not path.endswith("/"):
                place.write_bytes(content)
        return directory(folder), folder


class OfArchive:
    """The same folders in a zip file."""

    can_state_empty_classes = True

    def write(self, folder: Path, pictures: Sequence[Given], empty: str | None = None) -> tuple[Source, Path]:
        folder.mkdir()
        archive = pack(folder / "all.zip", _files(pictures, empty))
        return ArchiveSource(kind="archive", url=archive.as_uri(), sha256=sha256(archive)), archive


class OfTable:
    """Files in one folder, and a table of them."""

    can_state_empty_classes = False

    def write(self, folder: Path, pictures: Sequence[Given], empty: str | None = None) -> tuple[Source, Path]:
        (folder / "files").mkdir(parents=True)
        rows = ["file,label,split"]
        for each in pictures:
            (folder / "files" / each.name).write_bytes(each.content)
            cells = (f"files/{each.name}", each.class_name, each.split)
            rows.append(",".join('"' + cell.replace('"', '""') + '"' for cell in cells))
        table = folder / "all.csv"
        table.write_text("\n".join(rows), encoding="utf-8")
        columns = {"path_column": "file", "label_column": "label", "split_column": "split"}
        return CsvSource(kind="csv", path=str(table), **columns), table


class OfParquet:
    """Rows of one file, with the classes' names as labels."""

    can_state_empty_classes = True

    def write(self, folder: Path, pictures: Sequence[Given], empty: str | None = None) -> tuple[Source, Path]:
        folder.mkdir()
        columns = {
            "image": [each.content for each in pictures],
            "label": [each.class_name for each in pictures],
            "split": [each.split for each in pictures],
        }
        file = folder / "all [1].parquet"
        pq.write_table(pa.table(columns), file)
        names = None if empty is None else sorted({empty, *(each.class_name for each in pictures)})
        return ParquetSource(kind="parquet", path=str(file), split_column="split", names=names), file


class GivenPictures(tfds.core.GeneratorBasedBuilder):
    """A data set of tensorflow-datasets whose pictures are set before it is prepared."""

    VERSION = tfds.core.Version("1.0.0")
    pictures: ClassVar[Sequence[Given]] = ()
    names: ClassVar[list[str]] = []

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "image": tfds.features.Image(encoding_format="jpeg"),
            "label": tfds.features.ClassLabel(names=self.names),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        return {split: self._generate_examples(split) for split in ("train", "validation", "test")}

    def _generate_examples(self, split: str) -> Iterator[tuple[str, dict[str, Any]]]:
        for each in self.pictures:
            if each.split == split:
                yield each.name, {"image": each.content, "label": each.class_name}


class OfTfds:
    """A data set that was prepared before."""

    can_state_empty_classes = True

    def write(self, folder: Path, pictures: Sequence[Given], empty: str | None = None) -> tuple[Source, Path]:
        GivenPictures.pictures = pictures
        GivenPictures.names = sorted({each.class_name for each in pictures} | ({empty} if empty else set()))
        GivenPictures(data_dir=folder, file_format="tfrecord").download_and_prepare(download_dir=folder / "downloads")
        splits: dict[SplitName, str] = {"train": "train", "validation": "validation", "test": "test"}
        source = TfdsSource(kind="tfds", name="given_pictures", version="1.0.0", splits=splits, data_dir=str(folder))
        return source, folder / "given_pictures" / "1.0.0"


MEMBERS: dict[str, Member] = {
    "archive": OfArchive(),
    "csv": OfTable(),
    "directory": OfDirectory(),
    "parquet": OfParquet(),
    "tfds": OfTfds(),
}
# Its pictures are always the same, so it has no place of a user's, and nothing in it can be wrong.
FIXED = frozenset({"digits"})


def _files(pictures: Sequence[Given], empty: str | None) -> dict[str, bytes]:
    files = {posixpath.join(each.split, each.class_name, each.name): each.content for each in pictures}
    return files if empty is None else files | {f"train/{empty}/": b""}
