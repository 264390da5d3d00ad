"""The Prefect task of evaluation."""

from thaw.pipeline_config.schema import ExecutionConfig
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.evaluation.step import EvaluateStep, EvaluateWork
from thaw.tasks.home import Home
from thaw.tasks.task import build_in_child, step_task


@step_task("evaluate", "evaluation")
def evaluate(step: EvaluateStep, home: Home, execution: ExecutionConfig) -> ArtifactRef:
    """Judge the second stage's model on the test split, and what each stage earned: an evaluation artifact."""
    return build_in_child("evaluate", step, EvaluateWork, home, execution)
