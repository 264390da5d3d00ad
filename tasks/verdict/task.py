"""The Prefect tasks of the verdict: let the champion answer for the same images, and compare."""

from thaw.pipeline_config.schema import ExecutionConfig
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.home import Home
from thaw.tasks.task import build_in_child, step_task
from thaw.tasks.verdict.step import BaselineStep, BaselineWork, VerdictStep, VerdictWork


@step_task("baseline", "evaluation")
def score_baseline(step: BaselineStep, home: Home, execution: ExecutionConfig) -> ArtifactRef:
    """Let the champion answer for the test images, or the largest class where there is none: a baseline artifact."""
    return build_in_child("baseline", step, BaselineWork, home, execution)


@step_task("verdict", "evaluation")
def give_verdict(step: VerdictStep, home: Home, execution: ExecutionConfig) -> ArtifactRef:
    """Say whether the new model takes the champion's place: a verdict artifact."""
    return build_in_child("verdict", step, VerdictWork, home, execution)
