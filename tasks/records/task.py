"""The Prefect task of records."""

from pathlib import Path

from thaw.pipeline_config.schema import ExecutionConfig
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.records.step import RecordsStep, RecordsWork
from thaw.tasks.task import build_in_child, step_task


@step_task("records", "data")
def write_records(step: RecordsStep, home: Path, execution: ExecutionConfig) -> ArtifactRef:
    """Write the dataset's images as TFRecord shards: a records artifact."""
    return build_in_child("records", step, RecordsWork, home, execution)
