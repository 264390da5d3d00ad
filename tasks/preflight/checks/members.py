"""The checks that there are."""

from thaw.pipeline_config.errors import DatasetError
from thaw.pipeline_config.retrain_schema import CheckName, ChecksConfig
from thaw.tasks.preflight.checks.base import Check, Seen
from thaw.tasks.preflight.checks.class_held_out import find_unjudged
from thaw.tasks.preflight.checks.class_images import find_small
from thaw.tasks.preflight.checks.class_lost import find_lost
from thaw.tasks.preflight.checks.duplicates import find_copies
from thaw.tasks.preflight.checks.similar_names import find_alike

CHECKS: dict[CheckName, Check] = {
    "class_lost": find_lost,
    "class_images": find_small,
    "class_held_out": find_unjudged,
    "duplicates": find_copies,
    "similar_names": find_alike,
}


def check(seen: Seen, checks: ChecksConfig) -> list[str]:
    """Make all checks; returns warnings.

    Raises:
        DatasetError: A check found something whose level is `stop`; the message names the check.
    """
    found = {name: text for name, find in CHECKS.items() if (text := find(seen, checks)) is not None}
    for name, text in found.items():
        if checks.levels.get(name) == "stop":
            raise DatasetError(f"{text} Or set checks.levels.{name}=warn.")
    return [f"{text} (checks.{name})" for name, text in found.items()]
