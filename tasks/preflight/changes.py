"""What became of images: a dataset beside what a release says of those that it was made from. Pure, but for pyarrow."""

from collections import Counter
from collections.abc import Iterator
from typing import Literal, NamedTuple

import pyarrow as pa

from thaw.tasks.ingest.dataset import Dataset, DatasetImage
from thaw.tasks.preflight.known import KnownImage, KnownImages
from thaw.tasks.releases.learned_from import prefix
from thaw.tasks.releases.preflight import Changes

CHANGES_NAME = "changes.parquet"

_SCHEMA = pa.schema(
    [
        ("id", pa.string()),  # of an image that is gone, its beginning
        ("change", pa.string()),
        ("class_name", pa.string()),  # null of an image that is gone
        ("class_before", pa.string()),  # null of a new image, and where it is not known
        ("origin", pa.string()),  # where it is in the source; null of an image that is gone
    ]
)

_Change = Literal["added", "removed", "relabelled", "moved", "unknown"]


class _Row(NamedTuple):
    id: str
    change: _Change
    class_name: str | None
    class_before: str | None
    origin: str | None


def compare(before: KnownImages, dataset: Dataset) -> tuple[Changes, pa.Table]:
    """Say what changed, in numbers and in a table with a row for each change, in the order of the ids.

    An image that is of another class and in another split has a row for each.
    """
    rows = sorted(_rows(before.images, dataset.images), key=lambda row: (row.id, row.change))
    counts = Counter(row.change for row in rows)
    changes = Changes(
        **{change: counts[change] for change in ("added", "removed", "relabelled", "moved", "unknown")},
        classes_added=sorted(set(dataset.classes) - set(before.classes)),
        classes_removed=sorted(set(before.classes) - set(dataset.classes)),
    )
    columns = zip(*rows, strict=True) if rows else ([] for _ in _SCHEMA)
    return changes, pa.table([list(column) for column in columns], schema=_SCHEMA)


def added_images(before: KnownImages, dataset: Dataset) -> list[DatasetImage]:
    """List the images to learn from that the release has not seen in any split."""
    return [image for image in dataset.images if image.split != "test" and prefix(image.id) not in before.images]


def _rows(before: dict[bytes, KnownImage], images: list[DatasetImage]) -> Iterator[_Row]:
    now = set()
    for image in images:
        now.add(key := prefix(image.id))
        known = before.get(key)
        if known is None:
            yield _Row(image.id, "added", image.class_name, None, image.origin)
        else:
            for change in _changes(known, image):
                yield _Row(image.id, change, image.class_name, known.class_name, image.origin)
    for key in before.keys() - now:
        yield _Row(key.hex(), "removed", None, before[key].class_name, None)


def _changes(known: KnownImage, image: DatasetImage) -> Iterator[_Change]:
    if known.class_name is None:
        yield "unknown"
    elif known.class_name != image.class_name:
        yield "relabelled"
    # All that is known of the split of an image of an earlier thaw's release is that it was not test.
    was_test, is_test = known.split == "test", image.split == "test"
    if was_test != is_test or (known.split is not None and known.split != image.split):
        yield "moved"
