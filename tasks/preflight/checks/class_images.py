"""A class of which there are few images."""

from thaw.pipeline_config.retrain_schema import ChecksConfig
from thaw.tasks.preflight.checks.base import Seen, named, quoted


def find_small(seen: Seen, checks: ChecksConfig) -> str | None:
    """Find classes with fewer than `checks.class_images` images."""
    small = [f"{quoted(name)} has {count:,}" for name, count in seen.now.items() if count < checks.class_images]
    if not small:
        return None
    return f"Expected {checks.class_images:,} images of each class or more: {named(small)}. Add images."
