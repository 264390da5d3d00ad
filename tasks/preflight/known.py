"""What a release says of the images that it was made from, and tested on."""

from collections import Counter
from dataclasses import dataclass

import pyarrow as pa

from thaw.tasks.home import Home
from thaw.tasks.releases.checksums import read_checksums, verify_file
from thaw.tasks.releases.learned_from import COLUMNS, LEARNED_FROM_NAME, prefix, read_learned_images
from thaw.tasks.releases.release import read_in_place
from thaw.tasks.releases.test_split import PREDICTIONS_NAME, tested_classes


@dataclass(frozen=True, slots=True)
class KnownImage:
    """One image: its class and its split, each None where a release of an earlier thaw does not say it."""

    class_name: str | None
    split: str | None


@dataclass(frozen=True)
class KnownImages:
    """All of them.

    Attributes:
        classes: The names of the release's classes.
        images: By the beginnings of their ids.
        learned: A row for each image that it was trained or validated on, with all of `COLUMNS`; None where the release
            does not say so much.
    """

    classes: list[str]
    images: dict[bytes, KnownImage]
    learned: pa.Table | None

    @property
    def by_class(self) -> dict[str, int] | None:
        """Count the images of each class; None where that is not known."""
        if self.learned is None:
            return None
        counts = Counter(image.class_name for image in self.images.values())
        return {name: counts[name] for name in self.classes}


def read_known(home: Home, release: str) -> KnownImages | None:
    """Read what a release says; None for one of an earlier thaw that says nothing.

    Raises:
        PublishError: It is missing or damaged.
    """
    folder = home.registry.get(release).path
    if not (folder / LEARNED_FROM_NAME).exists() or not (folder / PREDICTIONS_NAME).exists():
        return None
    classes = read_in_place(folder).classes
    verify_file(folder, LEARNED_FROM_NAME, read_checksums(folder))
    learned = read_learned_images(folder)
    says_all = learned.column_names == COLUMNS
    images = {prefix(image): KnownImage(name, "test") for image, name in tested_classes(folder).items()}
    images |= dict(zip(learned["id"].to_pylist(), _learned(learned, classes, says_all=says_all), strict=True))
    return KnownImages(classes, images, learned if says_all else None)


def _learned(table: pa.Table, classes: list[str], *, says_all: bool) -> list[KnownImage]:
    if not says_all:
        return [KnownImage(None, None)] * table.num_rows
    rows = zip(table["label"].to_pylist(), table["split"].to_pylist(), strict=True)
    return [KnownImage(classes[label], split) for label, split in rows]
