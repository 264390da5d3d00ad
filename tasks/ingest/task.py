"""The Prefect task of ingest."""

from thaw.pipeline_config.schema import ExecutionConfig
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.home import Home
from thaw.tasks.ingest.step import IngestStep, IngestWork
from thaw.tasks.task import build_in_child, step_task


@step_task("ingest", "data")
def ingest(step: IngestStep, home: Home, execution: ExecutionConfig) -> ArtifactRef:
    """Read the source, check every image, and split them: a dataset artifact."""
    return build_in_child("ingest", step, IngestWork, home, execution)
