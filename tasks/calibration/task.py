"""The Prefect task of calibration."""

from thaw.pipeline_config.schema import ExecutionConfig
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.calibration.step import CalibrateStep, CalibrateWork
from thaw.tasks.home import Home
from thaw.tasks.task import build_in_child, step_task


@step_task("calibrate", "evaluation")
def calibrate(step: CalibrateStep, home: Home, execution: ExecutionConfig) -> ArtifactRef:
    """Find how far the second stage's probabilities can be trusted: a calibration artifact."""
    return build_in_child("calibrate", step, CalibrateWork, home, execution)
