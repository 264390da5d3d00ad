"""The Prefect task of records."""

from thaw.pipeline_config.schema import ExecutionConfig
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.home import Home
from thaw.tasks.records.step import RecordsStep, RecordsWork
from thaw.tasks.task import build_in_child, step_task


@step_task("records", "data")
def write_records(step: RecordsStep, home: Home, execution: ExecutionConfig) -> ArtifactRef:
    """Write the dataset's images as TFRecord shards: a records artifact."""
    return build_in_child("records", step, RecordsWork, home, execution)
