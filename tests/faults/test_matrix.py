"""The Nth file operation of a whole run fails, or is the last one before a kill; the next run ends as if nothing was.

What is tried and checked: `tests.faults.driver`; the ways to fail: `tests.faults.shim`. The fast tests try some points
of a run with artifacts of a few bytes, and a handful of the training's; the slow ones all points of every step.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.conftest import FAULT_POINTS
from tests.faults.driver import Matrix, Report
from thaw.flows.graph import GRAPH

ERRORS = ["ENOSPC", "EIO", "full", "limit error"]
DEATHS = ["kill", "power", "limit kill"]
QUICK_STEPS = ["ingest", "preflight", "records", "verdict"]
# The chain's stage one learns everything, and has no features to make or to compare.
LONG_STEPS = [node.name for node in GRAPH if node.name not in (*QUICK_STEPS, "features_one", "feature_drift")]


@pytest.fixture
def try_points(tmp_path, record_property):
    def run(chain: str, steps: list[str] | None, ways: list[str], *, every: int = 1, to_the_end: int = 10) -> Report:
        matrix = Matrix(folder=tmp_path, chain=chain, steps=steps, ways=ways, every=every, to_the_end=to_the_end)
        driver = subprocess.run(
            [sys.executable, "-m", "tests.faults.driver"],
            input=matrix.model_dump_json(),
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "TF_CPP_MIN_LOG_LEVEL": "3"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert driver.returncode == 0, driver.stderr[-2000:]
        report = Report.model_validate_json(driver.stdout)
        survived = report.points - len(report.problems)
        name = ", ".join(steps or ["all steps"])
        line = f"{chain} run, {name}: {report.points} points tried ({', '.join(ways)}), {survived} survived"
        record_property(FAULT_POINTS, f"{line}, {report.seconds:.0f} s")
        assert not report.problems, "\n".join(report.problems)
        assert all(report.tried.values())
        return report

    return run


def test_some_points_of_a_run_without_training(try_points):
    assert try_points("light", None, ["ENOSPC", "kill", "power"], every=3).points > 100


@pytest.mark.timeout(600)
def test_a_handful_of_points_of_a_stage(try_points):
    assert try_points("whole", ["stage_one"], ["kill"], every=24, to_the_end=0).points >= 3


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_point_of_a_run_without_training(try_points):
    assert try_points("light", None, [*ERRORS, *DEATHS]).points > 700


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("step", ["prepare_home", *QUICK_STEPS, "remember"])
def test_every_point_of_a_quick_step(try_points, step):
    assert try_points("whole", [step], [*ERRORS, *DEATHS], to_the_end=20).points > 10


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_every_point_of_publishing(try_points):
    assert try_points("whole", ["put in place"], ["ENOSPC", "limit error", *DEATHS]).points > 300


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("step", LONG_STEPS)
def test_every_point_of_a_step_that_takes_seconds(try_points, step):
    """Each operation fails once and is killed once; the other ways to fail, which take as long, at every tenth."""
    assert try_points("whole", [step], ["ENOSPC", "kill"]).points > 50
    assert try_points("whole", [step], ["EIO", "full", "power", "limit error", "limit kill"], every=10, to_the_end=0)
