"""The clock: whether it is behind what the home folder has already seen."""

import contextlib
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from thaw.flows.doctor.base import Check, Finding, Here

_FOLDERS = ("", "keys", "runs", "releases")  # in which every run writes something
_TOLERANCE = 120.0  # seconds, by which machines that share a disk may differ
_FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)  # no thaw is older


class Clock(Check):
    """Compares the time with that of files."""

    name = "clock"

    def examine(self, here: Here) -> Iterator[Finding]:
        """Look for files of the future."""
        now = time.time()
        newest = max(_times(here.home), default=(0.0, here.home))
        remedy = "Set the clock, for example with timedatectl set-ntp true: thaw gc goes by the age of files."
        moment = f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d %H:%M} UTC"
        if now < _FIRST_DAY.timestamp():
            yield Finding(level="warning", text=f"It is {moment} by the clock, which is behind.", remedy=remedy)
        elif newest[0] > now + _TOLERANCE:
            hours = (newest[0] - now) / 3600
            text = f"The clock is behind: it is {moment}, and {newest[1]} is of {hours:.1f} hours later."
            yield Finding(level="warning", text=text, remedy=remedy)
        else:
            yield Finding(level="ok", text=moment)


def _times(home: Path) -> Iterator[tuple[float, Path]]:
    for name in _FOLDERS:
        with contextlib.suppress(OSError):  # it is not there, or may not be listed, which the check of the home says
            for path in (home / name).iterdir():
                yield path.lstat().st_mtime, path
