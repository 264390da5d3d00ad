"""A flood of files that are copies of others."""

from thaw.pipeline_config.retrain_schema import ChecksConfig
from thaw.tasks.preflight.checks.base import Seen


def find_copies(seen: Seen, checks: ChecksConfig) -> str | None:
    """Say how many files are copies, where that is the share `checks.duplicates` of all or more."""
    if not seen.duplicates or seen.duplicates < checks.duplicates * seen.files:
        return None
    return (
        f"{seen.duplicates:,} of {seen.files:,} files have the same content as another, expected a share below "
        f"{checks.duplicates:g}. Look whether images were copied by mistake."
    )
