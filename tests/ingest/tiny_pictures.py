"""A data set of tensorflow-datasets, as its authors write them: small, real, and made without a network."""

import io
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from tests.ingest.pictures import jpeg

VERSION = "1.2.0"
CLASSES = ["setter", "beagle", "pug"]  # not in the order of the alphabet


class TinyPictures(tfds.core.GeneratorBasedBuilder):
    """Twenty pictures for training, ten for testing, four without labels."""

    VERSION = tfds.core.Version(VERSION)
    MANUAL_DOWNLOAD_INSTRUCTIONS: str | None = None
    FIRST_SEED = 0

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "image": tfds.features.Image(encoding_format="jpeg"),
            "label": tfds.features.ClassLabel(names=CLASSES),
            "mask": tfds.features.Image(shape=(None, None, 1), dtype=np.float32),
            "number": tfds.features.Scalar(np.int64),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        return {
            "train": self._generate_examples(range(20)),
            "test": self._generate_examples(range(20, 30)),
            "unlabelled": self._generate_examples(range(30, 34), label=-1),
        }

    def _generate_examples(self, numbers: range, label: int | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
        for number in numbers:
            yield (
                number,
                {
                    "image": io.BytesIO(jpeg(self.FIRST_SEED + number)),
                    "label": CLASSES.index(class_of(number)) if label is None else label,
                    "mask": np.full((1, 1, 1), 0.5, np.float32),
                    "number": number,
                },
            )


class TinyConfigured(TinyPictures):
    """The same in two configurations."""

    BUILDER_CONFIGS: ClassVar[list[Any]] = [
        tfds.core.BuilderConfig(name=name, version=VERSION) for name in ("plain", "fancy")
    ]


class TinyManual(TinyPictures):
    """One whose files a user must bring."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = "Ask the authors\nfor the files."

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        return {"train": self._generate_examples(range(len(list(dl_manager.manual_dir.iterdir()))))}


class TinyRemote(TinyPictures):
    """One whose files cannot be downloaded."""

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        raise ConnectionError("HTTPConnectionPool(host='example.invalid', port=80):\nName or service not known")


def class_of(number: int) -> str:
    return CLASSES[number % 3]


def number_of(image: bytes, first_seed: int = 0) -> int:
    """Which of the pictures it is, byte for byte."""
    return next(number for number in range(34) if jpeg(first_seed + number) == image)


def prepare(data_dir: Any, builder: type[TinyPictures] = TinyPictures, **settings: Any) -> None:
    config = settings.pop("config", None)
    shards = tfds.download.DownloadConfig(try_download_gcs=False, num_shards=settings.pop("shards", None))
    made = builder(data_dir=data_dir, config=config, **settings)
    made.download_and_prepare(download_dir=data_dir / "downloads", download_config=shards)
