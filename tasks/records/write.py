"""Write the images of one split as TFRecord shards, several shards at once."""

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from thaw.pipeline_config.dataset_schema import RecordsConfig, SplitName
from thaw.pipeline_config.errors import ArtifactError, DatasetError
from thaw.pipeline_config.messages import word
from thaw.tasks.artifacts.manifest import file_sha256
from thaw.tasks.artifacts.refusals import full_disk
from thaw.tasks.ingest.dataset import DatasetImage
from thaw.tasks.ingest.sources.base import ImageSource
from thaw.tasks.pictures.files import canonical
from thaw.tasks.pictures.opening import BadImageError
from thaw.tasks.records.ids import ids_of
from thaw.tasks.records.index import ROW, Shard, SplitIndex, shard_name, table_name, table_of_shard

_BYTES_PER_MEGABYTE = 10**6


@dataclass(frozen=True)
class ShardWriter:
    """Writes shards of one dataset, whose images are read again where need be; used from several threads."""

    source: ImageSource
    config: RecordsConfig
    folder: Path
    earlier: Callable[[DatasetImage], bytes | None]  # gives the record of an image that need not be made
    on_image: Callable[[], None]  # called after each image

    def write_split(
        self, executor: Executor, split: SplitName, images: Sequence[DatasetImage], classes: int
    ) -> SplitIndex:
        """Write a split, with images in any order: its shards, one a thread, and the table of its records.

        Raises:
            DatasetError: An image is no longer what it was when it was ingested; the message names it.
            ArtifactError: A shard cannot be written.
        """
        plan = plan_shards(images, self.config.shard_megabytes)
        paths = [self.folder / shard_name(split, number, len(plan)) for number in range(len(plan))]
        written = list(executor.map(self._write_shard, paths, range(len(plan)), plan))
        table = np.concatenate([np.zeros(0, ROW), *(table for _, table in written)])
        np.save(self.folder / table_name(split), table, allow_pickle=False)
        class_counts = np.bincount([image.label for image in images], minlength=classes)
        return SplitIndex(
            examples=len(images), class_counts=class_counts.tolist(), shards=[shard for shard, _ in written]
        )

    def _write_shard(self, path: Path, number: int, images: Sequence[DatasetImage]) -> tuple[Shard, NDArray[Any]]:
        lengths = []
        try:
            with tf.io.TFRecordWriter(str(path)) as writer:
                for image in images:
                    payload = self.earlier(image) or encode_example(self._read(image), image.label, image.id)
                    writer.write(payload)
                    lengths.append(len(payload))
                    self.on_image()
            size, digest = path.stat().st_size, file_sha256(path)
        except (OSError, tf.errors.OpError) as error:
            message = f"{path} cannot be written: {' '.join(str(error).split())}"
            raise full_disk(error, path) or ArtifactError(message) from error
        ids, labels = ids_of(image.id for image in images), [image.label for image in images]
        shard = Shard(file=path.name, examples=len(images), bytes=size, sha256=digest)
        return shard, table_of_shard(number, ids, labels, lengths)

    def _read(self, image: DatasetImage) -> bytes:
        name = word(image.origin)
        try:
            encoded = self.source.read_again(image.origin)
        except OSError as error:
            raise DatasetError(
                f"{name} can no longer be read: {error.strerror or error}. "
                "Expected the image that was ingested. Run again."
            ) from error
        if hashlib.sha256(encoded).hexdigest() != image.id:
            raise DatasetError(f"{name} changed since it was ingested. Expected the same content. Run again.")
        try:
            return canonical(encoded, self.config.max_side)
        except BadImageError as error:
            raise DatasetError(f"{name} cannot be decoded: {error}. Repair or remove it.") from error


def plan_shards(images: Sequence[DatasetImage], shard_megabytes: float) -> list[list[DatasetImage]]:
    """Divide images into shards, by their encoded size in the source, so that all shards can be written at once.

    A shard is closed when it has reached `shard_megabytes`, 10^6 bytes each. The images, given in any order, are then
    ordered by id, a hash, which mixes the classes.
    """
    shards: list[list[DatasetImage]] = []
    room = 0.0
    for image in sorted(images, key=lambda image: image.id):
        if room <= 0:
            shards.append([])
            room = shard_megabytes * _BYTES_PER_MEGABYTE
        shards[-1].append(image)
        room -= image.bytes
    return shards


def encode_example(image: bytes, label: int, image_id: str) -> bytes:
    """Encode one record as a serialized tf.train.Example; equal arguments give equal bytes.

    The id is the SHA-256 of the image as the source has it, in hexadecimal.
    """
    features = {
        "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[image])),
        "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
        "id": tf.train.Feature(bytes_list=tf.train.BytesList(value=[image_id.encode()])),
    }
    example = tf.train.Example(features=tf.train.Features(feature=features))
    payload: bytes = example.SerializeToString(deterministic=True)  # or the order of the map's keys may vary
    return payload
