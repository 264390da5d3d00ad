"""The Prefect tasks of evaluation: judge the model, and tell its stages apart."""

from prefect.artifacts import create_table_artifact

from thaw.pipeline_config.schema import ExecutionConfig
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.evaluation.stage_answers_step import StageAnswersStep, StageAnswersWork
from thaw.tasks.evaluation.step import EvaluateStep, EvaluateWork, EvaluationFacts
from thaw.tasks.home import Home
from thaw.tasks.task import build_in_child, only_shown, step_task


@step_task("evaluate", "evaluation")
def evaluate(step: EvaluateStep, home: Home, execution: ExecutionConfig) -> ArtifactRef:
    """Judge the second stage's model on the test split: an evaluation artifact."""
    ref = build_in_child("evaluate", step, EvaluateWork, home, execution)
    metrics = home.store.facts(ref, EvaluationFacts).test.model_dump(mode="json", exclude_none=True)
    with only_shown("evaluate", "the metrics"):
        create_table_artifact(
            [{"metric": name.replace("_", " "), "value": str(value)} for name, value in metrics.items()],
            key="test-metrics",
            description=f"{step.recipe_name}, seed {step.seed}: metrics on the test split",
        )
    return ref


@step_task("stage_answers", "evaluation")
def answer_for_stages(step: StageAnswersStep, home: Home, execution: ExecutionConfig) -> ArtifactRef:
    """Let both stages' weights answer on the test split: a stage answers artifact."""
    return build_in_child("stage_answers", step, StageAnswersWork, home, execution)
