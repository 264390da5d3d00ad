"""Exact duplicates: files with the same bytes count once, and must agree on their label.

All functions take images as `in_order_of_content` has them.
"""

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import NamedTuple

from thaw.pipeline_config.dataset_schema import LabelConflicts
from thaw.pipeline_config.errors import DatasetError
from thaw.pipeline_config.messages import word
from thaw.tasks.ingest.scan import ScannedImage
from thaw.tasks.ingest.sources.base import listed
from thaw.tasks.process import Reporter

_LISTED_GROUPS = 5
_LISTED_COPIES = 20  # of a group; a picture that says that there is none may be there thousands of times


class _Group(NamedTuple):
    first: ScannedImage
    size: int
    has_one_label: bool
    names: str  # where its images are


class Copies(NamedTuple):
    """What is left out because of equal images.

    Attributes:
        duplicates: Images of which another one is kept.
        in_conflict: Images of which none is kept, because they stand under different labels.
        conflicts: Where those are: a line for each group of equal ones, in the order of their names.
    """

    duplicates: int
    in_conflict: int
    conflicts: list[str]


def drop_duplicates(images: Iterable[ScannedImage]) -> Iterator[ScannedImage]:
    """Keep one of each group of equal images, if the group has one label."""
    return (group.first for group in _groups(images) if group.has_one_label)


def find_copies(images: Iterable[ScannedImage]) -> Copies:
    """Count and name those that `drop_duplicates` leaves out."""
    duplicates, in_conflict, conflicts = 0, 0, []
    for group in _groups(images):
        if group.has_one_label:
            duplicates += group.size - 1
        else:
            in_conflict += group.size
            conflicts.append(group.names)
    return Copies(duplicates, in_conflict, sorted(conflicts))


def check_copies(copies: Copies, rule: LabelConflicts, report: Reporter) -> None:
    """Warn of what is left out; of images under two labels, with an error if that is the rule.

    Raises:
        DatasetError: It is, and there is such a group.
    """
    images = listed(copies.conflicts, _LISTED_GROUPS)
    if images and rule == "error":
        raise DatasetError(
            f"The same image stands under two labels: {images}. Expected one label per image. "
            "Remove the wrong copies, or set dataset.label_conflicts to leave_out."
        )
    if images:
        report.warn(f"Left out, because the same image stands under two labels: {images}.")
    if copies.duplicates:
        files = "1 file has" if copies.duplicates == 1 else f"{copies.duplicates} files have"
        report.warn(f"{files} the same content as another and count once.")


def _groups(images: Iterable[ScannedImage]) -> Iterator[_Group]:
    return (_group(equal) for _, equal in groupby(images, key=lambda image: image.id))


def _group(equal: Iterator[ScannedImage]) -> _Group:
    first = next(equal)
    size, has_one_label, names = 1, True, [word(first.origin)]
    for image in equal:
        size += 1
        has_one_label &= image.class_name == first.class_name
        if size <= _LISTED_COPIES:
            names.append(word(image.origin))
    more = [f"{size - _LISTED_COPIES} more"] if size > _LISTED_COPIES else []
    return _Group(first, size, has_one_label, " = ".join([*names, *more]))
