"""The Prefect task of the comparison of features."""

from thaw.pipeline_config.schema import ExecutionConfig
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.feature_drift.step import FeatureDriftStep, FeatureDriftWork
from thaw.tasks.home import Home
from thaw.tasks.task import build_in_child, step_task


@step_task("feature_drift", "data")
def compare_features(step: FeatureDriftStep, home: Home, execution: ExecutionConfig) -> ArtifactRef:
    """Compare the features of new images with those that the champion learned from: a feature drift artifact."""
    return build_in_child("feature_drift", step, FeatureDriftWork, home, execution, needs_keras=False)
