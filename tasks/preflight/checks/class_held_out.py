"""A class of which a held-out split has few images, so that it cannot tell how well they do."""

from thaw.pipeline_config.retrain_schema import ChecksConfig
from thaw.tasks.preflight.checks.base import Seen, named, quoted


def find_unjudged(seen: Seen, checks: ChecksConfig) -> str | None:
    """Find classes with fewer than `checks.class_held_out` images in the validation or in the test split."""
    few = [
        f"{quoted(name)} has {count:,} in {split}"
        for split in ("validation", "test")
        for name, count in seen.counts[split].items()
        if count < checks.class_held_out
    ]
    if not few:
        return None
    return (
        f"Expected {checks.class_held_out:,} or more of each class in validation and in test, which cannot tell "
        f"otherwise how well they do: {named(few)}. Add images, or raise the fractions in dataset.splits."
    )
