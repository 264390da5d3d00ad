"""The Prefect task of the report."""

from thaw.pipeline_config.schema import ExecutionConfig
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.home import Home
from thaw.tasks.report.step import ReportStep, ReportWork
from thaw.tasks.task import build_in_child, step_task


@step_task("report", "evaluation")
def write_report(step: ReportStep, home: Home, execution: ExecutionConfig) -> ArtifactRef:
    """Show what was made, and how it compares: a report artifact."""
    return build_in_child("report", step, ReportWork, home, execution)
