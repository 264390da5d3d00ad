"""The checks that there are, and how they are asked: all at once, in threads, for two of them wait for others."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from thaw.flows.doctor.base import Check, Finding, Here
from thaw.flows.doctor.clock import Clock
from thaw.flows.doctor.computing import Computing
from thaw.flows.doctor.home import HomeFolder, LocalDisk
from thaw.flows.doctor.room import Room
from thaw.flows.doctor.server import PrefectServer
from thaw.flows.doctor.versions import Versions

CHECKS: Sequence[Check] = (Versions(), Computing(), PrefectServer(), HomeFolder(), LocalDisk(), Room(), Clock())


def examine(here: Here) -> list[tuple[Check, Finding]]:
    """Let all checks look, and give their findings in the order of the checks."""
    with ThreadPoolExecutor(len(CHECKS)) as threads:
        found = threads.map(lambda check: list(check.examine(here)), CHECKS)
        return [(check, finding) for check, findings in zip(CHECKS, found, strict=True) for finding in findings]
