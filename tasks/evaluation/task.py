"""The Prefect task of evaluation."""

from prefect.artifacts import create_table_artifact

from thaw.pipeline_config.schema import ExecutionConfig
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.evaluation.step import EvaluateStep, EvaluateWork, EvaluationFacts
from thaw.tasks.home import Home
from thaw.tasks.task import build_in_child, only_shown, step_task


@step_task("evaluate", "evaluation")
def evaluate(step: EvaluateStep, home: Home, execution: ExecutionConfig) -> ArtifactRef:
    """Judge the second stage's model on the test split, and what each stage earned: an evaluation artifact."""
    ref = build_in_child("evaluate", step, EvaluateWork, home, execution)
    facts = home.store.facts(ref, EvaluationFacts)
    metrics = facts.test.model_dump(mode="json", exclude_none=True)
    with only_shown("evaluate", "the metrics"):
        create_table_artifact(
            [{"metric": name.replace("_", " "), "value": str(value)} for name, value in metrics.items()],
            key="test-metrics",
            description=f"Metrics on the test split. {facts.stages.sentence}",
        )
    return ref
