"""Exact duplicates: files with the same bytes count once, and must agree on their label."""

from collections.abc import Sequence

from pipeline_config.errors import DatasetError
from tasks.ingest.scan import ScannedImage
from tasks.ingest.sources.base import one_line

# Where a duplicate is kept if the source has it in several splits: the held-out sets stay whole, and training never
# sees what they hold.
_KEPT_FIRST = {"test": 0, "validation": 1, "train": 2}
_LISTED_PAIRS = 5


def drop_duplicates(images: Sequence[ScannedImage]) -> list[ScannedImage]:
    """Keep one of each group of equal images.

    Args:
        images: All readable images.

    Returns:
        One image per id, ordered by id.

    Raises:
        DatasetError: Equal images have different labels; the message names the files.
    """
    kept: dict[str, ScannedImage] = {}
    conflicts: list[tuple[str, str]] = []
    for image in sorted(images, key=lambda image: (image.id, _KEPT_FIRST[image.source_split], image.origin)):
        first = kept.setdefault(image.id, image)
        if image.class_name != first.class_name:
            conflicts.append((first.origin, image.origin))
    if conflicts:
        listed = ", ".join(f"{one_line(one)} = {one_line(other)}" for one, other in sorted(conflicts)[:_LISTED_PAIRS])
        more = f" and {len(conflicts) - _LISTED_PAIRS} more" if len(conflicts) > _LISTED_PAIRS else ""
        raise DatasetError(
            f"The same image stands under two labels: {listed}{more}. "
            "Expected one label per image. Remove the wrong copies."
        )
    return list(kept.values())
