"""Exact duplicates: files with the same bytes count once, and must agree on their label."""

from collections.abc import Sequence
from itertools import groupby

from thaw.pipeline_config.dataset_schema import LabelConflicts
from thaw.pipeline_config.errors import DatasetError
from thaw.pipeline_config.messages import word
from thaw.tasks.ingest.scan import ScannedImage
from thaw.tasks.ingest.sources.base import listed
from thaw.tasks.process import Reporter

# Where a duplicate is kept if the source has it in several splits: the held-out sets stay whole, and training never
# sees what they hold.
_KEPT_FIRST = {"test": 0, "validation": 1, "train": 2}
_LISTED_GROUPS = 5

Group = Sequence[ScannedImage]


def drop_duplicates(images: Sequence[ScannedImage]) -> tuple[list[ScannedImage], list[Group]]:
    """Keep one of each group of equal images, if the group has one label.

    Returns one image per id, ordered by id, and the groups whose labels differ, of which none is kept.
    """
    kept: list[ScannedImage] = []
    conflicts: list[Group] = []
    ordered = sorted(images, key=lambda image: (image.id, _KEPT_FIRST[image.source_split], image.origin))
    for _, equal in groupby(ordered, key=lambda image: image.id):
        group = list(equal)
        if len({image.class_name for image in group}) == 1:
            kept.append(group[0])
        else:
            conflicts.append(group)
    return kept, conflicts


def check_conflicts(conflicts: Sequence[Group], rule: LabelConflicts, report: Reporter) -> None:
    """Say which images stand under two labels: in a warning, or, if that is the rule, in an error.

    Raises:
        DatasetError: It is an error, and there is such a group.
    """
    if not conflicts:
        return
    names = sorted(" = ".join(word(image.origin) for image in group) for group in conflicts)
    images = listed(names, _LISTED_GROUPS)
    if rule == "error":
        raise DatasetError(
            f"The same image stands under two labels: {images}. Expected one label per image. "
            "Remove the wrong copies, or set dataset.label_conflicts to leave_out."
        )
    report.warn(f"Left out, because the same image stands under two labels: {images}.")
