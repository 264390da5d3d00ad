"""The result of a comparison: the document that `thaw compare --json` prints. No Prefect."""

from pathlib import Path

from thaw.tasks.experiments.summary import Comparison
from thaw.tasks.runs import TaskReport


class ComparisonTask(TaskReport):
    """One task of a comparison.

    Attributes:
        run: The recipe, and the seed if it is a task of one run only.
    """

    run: str


class ComparisonResult(Comparison):
    """The result of a comparison: what `thaw compare --json` prints.

    Attributes:
        run: Prefect's id of the flow run.
        seconds: Wall time of the flow.
        folder: Where the tables and the picture are.
        tasks: One line per task.
    """

    run: str
    seconds: float
    folder: Path
    tasks: list[ComparisonTask]
