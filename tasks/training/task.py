"""The Prefect tasks of training: both stages are one function."""

from pathlib import Path

from pipeline_config.schema import ExecutionConfig
from tasks.artifacts.manifest import ArtifactRef
from tasks.artifacts.store import ArtifactStore
from tasks.task import build_in_child, step_task
from tasks.training.step import TrainStep, TrainWork


def _train(step: TrainStep, home: Path, execution: ExecutionConfig) -> ArtifactRef:
    """Train a stage from its start: a stage artifact."""
    return build_in_child(
        step.name,
        step,
        TrainWork,
        home,
        execution,
        checkpoints=ArtifactStore(home).checkpoints(step.key),
        checkpoint_every=execution.checkpoint_every,
    )


train_stage_one = step_task("stage_one", "training")(_train)
train_stage_two = step_task("stage_two", "training")(_train)
