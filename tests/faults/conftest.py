"""A home folder with a whole run in it, and the count of fault points at the end of the report."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.faults.chain import Chain, prepare, run_chain, whole_chain

FAULT_POINTS = "fault points"


def pytest_terminal_summary(terminalreporter) -> None:
    reports = [report for name in ("passed", "failed") for report in terminalreporter.stats.get(name, [])]
    lines = [text for report in reports for name, text in report.user_properties if name == FAULT_POINTS]
    if lines:
        terminalreporter.section(FAULT_POINTS)
        for line in lines:
            terminalreporter.line(line)


@dataclass(frozen=True)
class Finished:
    """A run that is over.

    Attributes:
        chain: Its steps.
        data: Its pictures.
        home: Its home folder; to be copied, not changed.
        found: What its steps made, by name.
    """

    chain: Chain
    data: Path
    home: Path
    found: dict[str, Any]


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Finished:
    """A whole run, with training, in this process."""
    folder = tmp_path_factory.mktemp("finished")
    chain, home = whole_chain(folder / "data"), folder / "home"
    prepare(home, chain)
    return Finished(chain, folder / "data", home, run_chain(chain, home))


@pytest.fixture
def home(finished: Finished, tmp_path: Path) -> Path:
    """A copy of the finished run's home folder, to be damaged."""
    return Path(shutil.copytree(finished.home, tmp_path / "home"))
