"""The Prefect task of publishing."""

from thaw.pipeline_config.schema import ExecutionConfig
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.home import Home
from thaw.tasks.publishing.publish import publish
from thaw.tasks.publishing.step import PublishStep, PublishWork
from thaw.tasks.task import build_in_child, step_task


@step_task("publish", "publishing")
def publish_release(step: PublishStep, home: Home, execution: ExecutionConfig) -> ArtifactRef:
    """Write the release, and make it the champion if its verdict says so: a release artifact and a release."""
    ref = build_in_child("publish", step, PublishWork, home, execution)
    publish(home, ref, ask_first=step.recipe.publish.approval is not None)
    return ref
