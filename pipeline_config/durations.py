"""A length of time as people write it: a whole number and a unit, as in 45m, 12h, 30d and 2w."""

import re

from thaw.pipeline_config.messages import received

_SECONDS = {"m": 60, "h": 3600, "d": 86400, "w": 604800}
_FORM = re.compile(r"([0-9]{1,9})([mhdw])")


def seconds_of(duration: str) -> int:
    """Read a duration.

    Raises:
        ValueError: It is none.
    """
    match = _FORM.fullmatch(duration)
    if match is None:
        raise ValueError(f"must be a whole number and a unit: 45m, 12h, 30d or 2w. Received: {received(duration)}.")
    return int(match[1]) * _SECONDS[match[2]]
