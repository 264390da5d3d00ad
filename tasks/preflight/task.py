"""The Prefect task of the look before training."""

from thaw.pipeline_config.schema import ExecutionConfig
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.home import Home
from thaw.tasks.preflight.step import PreflightStep, PreflightWork
from thaw.tasks.task import build_in_child, step_task


@step_task("preflight", "data")
def look(step: PreflightStep, home: Home, execution: ExecutionConfig) -> ArtifactRef:
    """Compare the images with those that the champion learned from, and check them: a preflight artifact."""
    return build_in_child("preflight", step, PreflightWork, home, execution, needs_keras=False)
