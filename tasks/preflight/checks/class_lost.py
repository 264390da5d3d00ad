"""A class that lost many of its images since the champion learned from it."""

from thaw.pipeline_config.retrain_schema import ChecksConfig
from thaw.tasks.preflight.checks.base import Seen, named, quoted


def find_lost(seen: Seen, checks: ChecksConfig) -> str | None:
    """Find classes that have fewer images than they had, by the share `checks.class_lost` or more."""
    before = seen.before or {}
    lost = [
        f"{quoted(name)} has {seen.now.get(name, 0):,} of {count:,}"
        for name, count in before.items()
        if count - seen.now.get(name, 0) >= checks.class_lost * count
    ]
    if not lost:
        return None
    return f"Classes lost a share of {checks.class_lost:g} or more of their images: {named(lost)}. Put them back."
