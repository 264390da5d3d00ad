"""What the source `tfds` needs of tensorflow-datasets: prepare a data set, and read a prepared one example by example.

The library imports TensorFlow to prepare a data set. So this module is loaded by its name, and only in a step's child
process. Reading needs no TensorFlow: a prepared data set is a folder of TFRecord or ArrayRecord files, whose examples
are taken by file and number, in any order, and whose images stay encoded.
"""

import functools
import os
import re
import struct
import threading
from array import array
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from thaw.pipeline_config.dataset_schema import SPLITS, SplitName, TfdsSource
from thaw.pipeline_config.errors import DatasetError, DownloadError
from thaw.pipeline_config.messages import received
from thaw.pipeline_config.strict import nearest_hint
from thaw.tasks.ingest.sources.base import RawExample

_OPEN_FILES = 256  # a quarter of the files that a process may usually have open
_HEADER = struct.Struct("<Q4x")  # before a record of a TFRecord file: its length, and a checksum of that
_TRAILER_BYTES = 4  # after it: a checksum of the record
_LISTED_NAME = re.compile(r"^\s*- (\S+)$", re.MULTILINE)
# Errors that another attempt may overcome.
_PASSING = (OSError, tfds.core.download.download_manager.NonMatchingChecksumError, tfds.core.download.DownloadError)
_FIRST_SENTENCE = 300  # characters of a message of the library's, which may be as long as the list of all data sets


class _Span(NamedTuple):
    file: str
    first: int
    end: int
    split: SplitName


def prepare(config: TfdsSource, data_dir: Path, downloads: Path) -> None:
    """Download a data set and write it in the form that is read here, below `data_dir` in the library's layout.

    A preparation that is cut short leaves nothing there that could be taken for a whole one; the whole files among the
    downloads are used again.

    Raises:
        DatasetError: There is no such data set, or it cannot be prepared.
        DownloadError: A file cannot be downloaded, or is not what the library expects.
    """
    try:
        builder = tfds.builder(config.name, version=config.version, data_dir=data_dir)
    except tfds.core.registered.DatasetNotFoundError as error:
        hint = nearest_hint(config.name, _LISTED_NAME.findall(str(error)))
        raise DatasetError(f"tensorflow-datasets has no data set {config.name}.{hint}") from error
    except (AssertionError, ValueError) as error:  # a version or a configuration that it does not have
        reason = str(error).rpartition('}": ')[2]  # without what the library puts before it: the builder's arguments
        raise DatasetError(
            f"tensorflow-datasets cannot make {config.name} {config.version}: {_line(reason)}. "
            "Change dataset.source.name or dataset.source.version."
        ) from error
    if builder.info.full_name != f"{config.name}/{config.version}":
        raise DatasetError(
            f"{config.name} has configurations. Give one in dataset.source.name, such as "
            f"{builder.info.full_name.rpartition('/')[0]}."
        )
    settings = tfds.download.DownloadConfig(try_download_gcs=False)  # a copy of theirs may be of another preparation
    try:
        builder.download_and_prepare(download_dir=downloads, download_config=settings)
    except MemoryError:
        raise
    except Exception as error:  # whatever the builder of one data set may raise
        message = (
            f"{config.name} {config.version} cannot be prepared: {_line(error)}. Prepare it elsewhere with "
            f"`tfds build {config.name.partition('/')[0]} --data_dir DIR`, and give that folder as "
            "dataset.source.data_dir; or give a folder of images with --data DIR."
        )
        raise (DownloadError(message) if isinstance(error, _PASSING) else DatasetError(message)) from error


class PreparedDataset:
    """A prepared data set: its labels, and its examples in order or one by one. May be used from any thread."""

    def __init__(self, folder: Path, config: TfdsSource) -> None:
        """Read what the data set says of itself in its folder's `dataset_info.json`; no example is read yet.

        Raises:
            DatasetError: The folder is damaged, or has no such split or feature.
        """
        self._folder = folder
        try:
            self._info = tfds.builder_from_directory(folder).info
        except Exception as error:  # of JSON, of protocol buffers, of the library: they have no class in common
            raise self._damaged(folder.name, error) from error
        self._label_feature, self._image_feature = config.label_feature, config.image_feature
        label, image = self._feature(config.label_feature, tfds.features.ClassLabel, "label"), self._image(config)
        self.classes: tuple[str, ...] = tuple(label.int2str(number) for number in range(label.num_classes))
        self._parser = tfds.features.FeaturesDict({config.image_feature: image, config.label_feature: label})
        self._spans = self._find_spans(config)
        self._open = functools.lru_cache(_OPEN_FILES)(self._open_file)
        self._lock = threading.Lock()

    def count(self) -> int:
        """Count the examples of all splits that are wanted, by the data set's own account."""
        return sum(span.end - span.first for span in self._spans)

    def examples(self) -> Iterator[RawExample]:
        """Go through the examples: train, validation, test, and in each the files in their order.

        Raises:
            DatasetError: A file is damaged, or an example has no label; the message names it.
        """
        for span in self._spans:
            for number in range(span.first, span.end):
                origin = f"{span.file}#{number}"
                example = self._example(span.file, number)
                label = int(example[self._label_feature])
                if not 0 <= label < len(self.classes):
                    raise DatasetError(
                        f"{origin} has the label {label}. Expected 0 to {len(self.classes) - 1}. "
                        "Leave out splits without labels in dataset.source.splits."
                    )
                read = functools.partial(bytes, example[self._image_feature])
                yield RawExample(origin, self.classes[label], span.split, read)

    def read(self, origin: str) -> bytes:
        """Read one image, by the origin that its example has.

        Raises:
            OSError: The file is gone.
            DatasetError: The file is damaged.
        """
        file, _, number = origin.rpartition("#")
        image: bytes = self._example(file, int(number))[self._image_feature]
        return image

    def _feature(self, name: str, wanted: Any, role: str) -> Any:
        features = dict(self._info.features.items())
        feature = features.get(name)
        if not isinstance(feature, wanted):
            fitting = sorted(key for key, other in features.items() if isinstance(other, wanted))
            found = "no such feature" if feature is None else f"a feature {type(feature).__name__}"
            raise DatasetError(
                f"dataset.source.{role}_feature: {self._info.name} has {found}, {received(name)}. "
                f"Expected one of kind {wanted.__name__}; it has: {', '.join(fitting) or 'none'}."
            )
        return feature

    def _image(self, config: TfdsSource) -> Any:
        image = self._feature(config.image_feature, tfds.features.Image, "image")
        if not np.issubdtype(np.dtype(image.np_dtype), np.unsignedinteger):  # stored as a PNG of something else
            raise DatasetError(
                f"dataset.source.image_feature: {received(config.image_feature)} of {self._info.name} holds "
                f"{np.dtype(image.np_dtype).name} values. Expected images of whole numbers."
            )
        return image

    def _find_spans(self, config: TfdsSource) -> list[_Span]:
        spans: list[_Span] = []
        for split in sorted(config.splits, key=SPLITS.index):
            try:
                instructions = self._info.splits[config.splits[split]].file_instructions
            except (ValueError, KeyError, AssertionError) as error:
                raise DatasetError(f"dataset.source.splits.{split}: {_line(error)}.") from error
            spans += [_Span(Path(part.filename).name, part.skip, part.skip + part.take, split) for part in instructions]
        for one, other in pairwise(sorted(spans)):
            if one.file == other.file and other.first < one.end:
                received = f"{one.split} and {other.split}" if one.split != other.split else f"{one.split} twice"
                raise DatasetError(
                    f"dataset.source.splits: {other.file}#{other.first} is in {received}. "
                    "Expected parts that do not overlap, such as train[:90%] and train[90%:]."
                )
        return spans

    def _example(self, file: str, number: int) -> dict[str, Any]:
        with self._lock:  # of two threads that want the same file, one opens it
            records = self._open(file)
        if number >= len(records):
            raise self._damaged(file, f"it has {len(records)} records and no number {number}")
        decoders = {self._image_feature: tfds.decode.SkipDecoding()}
        example: dict[str, Any] = self._parser.deserialize_example_np(records.read(number), decoders=decoders)
        return example

    def _open_file(self, name: str) -> "_TfRecords | _ArrayRecords":
        path = self._folder / name
        if not path.is_file():
            raise FileNotFoundError(f"{path} is gone")
        kinds: dict[Any, type[_TfRecords | _ArrayRecords]] = {
            tfds.core.FileFormat.TFRECORD: _TfRecords,
            tfds.core.FileFormat.ARRAY_RECORD: _ArrayRecords,
        }
        kind = kinds.get(self._info.file_format)
        if kind is None:
            raise DatasetError(
                f"{self._folder} is stored as {self._info.file_format.value}. Expected tfrecord or array_record. "
                "Prepare it again: tfds build --file_format=array_record."
            )
        try:
            return kind(path)
        except (RuntimeError, ValueError) as error:
            raise self._damaged(name, error) from error

    def _damaged(self, name: str, cause: Exception | str) -> DatasetError:
        return DatasetError(
            f"{name} in {self._folder} is damaged: {_line(cause)}. Remove that folder, and prepare it again."
        )


class _TfRecords:
    """A TFRecord file, by the place of each record in it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._starts = array("q")
        with path.open("rb") as file:
            position, size = 0, file.seek(0, os.SEEK_END)
            while position + _HEADER.size <= size:
                self._starts.append(position)
                file.seek(position)
                position += _HEADER.size + _HEADER.unpack(file.read(_HEADER.size))[0] + _TRAILER_BYTES
        if position != size:
            raise ValueError("its last record is cut short")
        self._starts.append(size)

    def __len__(self) -> int:
        return len(self._starts) - 1

    def read(self, number: int) -> bytes:
        start, end = self._starts[number] + _HEADER.size, self._starts[number + 1] - _TRAILER_BYTES
        with self._path.open("rb", buffering=0) as file:
            return os.pread(file.fileno(), end - start, start)


class _ArrayRecords:
    """An ArrayRecord file."""

    def __init__(self, path: Path) -> None:
        try:
            from array_record.python.array_record_module import ArrayRecordReader
        except ImportError as error:  # there is none for macOS
            raise DatasetError(
                f"{path.name} needs the library array_record, which is not installed. "
                "Prepare the data set again: tfds build --file_format=tfrecord."
            ) from error
        self._reader = ArrayRecordReader(str(path))
        if not self._reader.ok():
            raise ValueError("its index cannot be read")

    def __len__(self) -> int:
        return int(self._reader.num_records())

    def read(self, number: int) -> bytes:
        return bytes(self._reader.read([number])[0])


def _line(error: Exception | str) -> str:
    text = " ".join(str(error).split())
    return (text if len(text) <= _FIRST_SENTENCE else f"{text[:_FIRST_SENTENCE]}…").rstrip(".") or type(error).__name__
