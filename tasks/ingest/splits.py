"""Which split an image belongs to: a pure function of its content, the seed and the recipe.

A split that the source has is used as it is. A split that it lacks is cut from another: every image of the parent draws
a number between 0 and 1 from a hash of the seed, the parent and the image's own id, and each child takes the images in
an interval of its own. An image's draw involves no other image, so adding images moves no old one, and each class is
cut in the same proportion, within sampling error.
"""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass

from thaw.pipeline_config.dataset_schema import SPLITS, Cut, SplitName, SplitsConfig
from thaw.pipeline_config.errors import DatasetError

# Used for a split that the recipe expects of the source and that the source lacks: the share by which the schema's own
# default cuts. 70/15/15 leaves enough to train on and held-out sets of a size that can tell models apart.
DEFAULT_FRACTION = 0.15


@dataclass(frozen=True, slots=True)
class SplitPlan:
    """How the source's splits become the dataset's.

    Attributes:
        roots: The split in which an image of each of the source's splits starts.
        cuts: What is cut from each split: names and shares, in the order of their intervals.
    """

    roots: dict[SplitName, SplitName]
    cuts: dict[SplitName, list[tuple[SplitName, float]]]


def plan_splits(config: SplitsConfig, present: Collection[SplitName]) -> SplitPlan:
    """Decide which splits are taken from the source and which are cut, so that there are all three.

    The source has at least one, in `present`. Without train among them, the first of validation and test stands in for
    it, and is cut in its place.

    Raises:
        DatasetError: The cuts leave nothing of a split.
    """
    roots = {split: split for split in SPLITS if split in present}
    if "train" not in roots:
        roots[next(iter(roots))] = "train"
    cuts: dict[SplitName, list[tuple[SplitName, float]]] = {}
    wanted_splits: dict[SplitName, str | Cut] = {"validation": config.validation, "test": config.test}
    for child, wanted in wanted_splits.items():
        if child not in roots.values():
            cut = wanted if isinstance(wanted, Cut) else Cut(from_="train", fraction=DEFAULT_FRACTION)
            cuts.setdefault(cut.from_, []).append((child, cut.fraction))
    for parent, children in cuts.items():
        taken = sum(fraction for _, fraction in children)
        if taken >= 1:
            names = " and ".join(name for name, _ in children)
            raise DatasetError(
                f"dataset.splits: {names} together take {taken:g} of {parent}, which leaves it empty. "
                "Expected less than 1."
            )
    return SplitPlan(roots, cuts)


def assign_split(plan: SplitPlan, source_split: SplitName, image_id: str, seed: int) -> SplitName:
    """Find the split of one image, by the split that the source has it in and the SHA-256 of its encoded bytes."""
    return _cut(plan, plan.roots[source_split], image_id, seed)


def _cut(plan: SplitPlan, parent: SplitName, image_id: str, seed: int) -> SplitName:
    # The draw is uniform in [0, 1). The parent's name keeps that of a second cut independent of the first.
    digest = hashlib.sha256(f"{seed}:{parent}:{image_id}".encode()).digest()
    drawn = int.from_bytes(digest[:8], "big") / 2**64
    end = 0.0
    for child, fraction in plan.cuts.get(parent, ()):
        end += fraction
        if drawn < end:
            return _cut(plan, child, image_id, seed)
    return parent
