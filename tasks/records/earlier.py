"""Records that earlier artifacts have of a dataset's images, so that these need not be read and encoded again."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import tensorflow as tf

from thaw.pipeline_config.dataset_schema import SPLITS
from thaw.tasks.ingest.dataset import DatasetImage
from thaw.tasks.records.ids import Found, ids_of
from thaw.tasks.records.read import SplitReader
from thaw.tasks.records.write import encode_example


class EarlierRecords:
    """Records by image. They are what would be written anew, in whichever split they are found."""

    def __init__(self, folders: Iterable[Path], images: Sequence[DatasetImage]) -> None:
        """Look for the images in artifacts with the same settings, checked; what is found first counts."""
        self._readers: list[SplitReader] = []
        found = Found(ids_of(image.id for image in images))
        for folder in folders:
            for split in SPLITS:
                self._readers.append(SplitReader(folder, split))
                found.look_in(self._readers[-1].ids)
            if not len(found.missing):
                break
        self._places: dict[str, tuple[int, int]] = {
            image.id: (table, row)
            for image, table, row in zip(images, found.table.tolist(), found.row.tolist(), strict=True)
            if table >= 0
        }

    def __len__(self) -> int:
        """Count the images of which there is a record."""
        return len(self._places)

    def close(self) -> None:
        """Close the files."""
        for reader in self._readers:
            reader.close()

    def payload(self, image: DatasetImage) -> bytes | None:
        """Give an image's record, with the label that it has now: a serialized tf.train.Example; None if there is none.

        Raises:
            ArtifactError: The record cannot be read.
        """
        place = self._places.get(image.id)
        if place is None:
            return None
        reader, row = self._readers[place[0]], place[1]
        payload = reader.read(row)
        if reader.labels[row] == image.label:
            return payload
        (encoded,) = tf.train.Example.FromString(payload).features.feature["image"].bytes_list.value
        return encode_example(encoded, image.label, image.id)
