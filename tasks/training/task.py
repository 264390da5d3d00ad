"""The Prefect tasks of training: both stages are one function, and so are the features of both."""

from thaw.pipeline_config.schema import ExecutionConfig
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.home import Home
from thaw.tasks.task import StepTask, build_in_child, step_task
from thaw.tasks.training.features.step import FeaturesStep, FeaturesWork
from thaw.tasks.training.step import TrainStep, TrainWork


def _train(step: TrainStep, home: Home, execution: ExecutionConfig) -> ArtifactRef:
    """Train a stage from its start: a stage artifact."""
    checkpoints, every = home.store.checkpoints(step.key), execution.checkpoint_every
    return build_in_child(step.name, step, TrainWork, home, execution, checkpoints=checkpoints, checkpoint_every=every)


train_stage_one = step_task("stage_one", "training")(_train)
train_stage_two = step_task("stage_two", "training")(_train)


def _features_task(name: str) -> StepTask:
    @step_task(name, "training")
    def compute(step: FeaturesStep, home: Home, execution: ExecutionConfig) -> ArtifactRef:
        """Run the frozen layers once per image and view: a features artifact."""
        return build_in_child(name, step, FeaturesWork, home, execution)

    return compute


compute_features_one = _features_task("features_one")
compute_features_two = _features_task("features_two")
