"""The result of a comparison: the document that `thaw compare --json` prints. No Prefect."""

from pathlib import Path

from pydantic import Field

from thaw.tasks.experiments.summary import Comparison
from thaw.tasks.runs import TaskReport


class ComparisonTask(TaskReport):
    """One task of a comparison."""

    run: str = Field(description="the recipe, and the seed if it is a task of one run only")


class ComparisonResult(Comparison):
    """The result of a comparison."""

    run: str = Field(description="Prefect's id of the flow run")
    seconds: float = Field(description="wall time of the flow")
    folder: Path = Field(description="where the tables and the picture are")
    tasks: list[ComparisonTask]
