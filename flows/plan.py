"""What a run would do, without doing it: for each task, whether it is cached, and if not, why. No Prefect."""

from collections.abc import Collection, Sequence
from typing import Any

from pydantic import BaseModel, Field

from thaw.flows.graph import GRAPH, Node, Walk
from thaw.pipeline_config.errors import PublishError
from thaw.pipeline_config.schema import Recipe
from thaw.tasks.artifacts.differences import explain, most_similar
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.artifacts.step import Step
from thaw.tasks.home import Home
from thaw.tasks.runs import TaskReport

_REFRESHED = ["--refresh asks for it"]


class PlannedTask(BaseModel):
    """One task of a plan."""

    name: str
    cached: bool = Field(description="whether its artifact is there, whole")
    needed: bool = Field(default=True, description="whether the run gets there; false where it has no need to train")
    reasons: list[str] = Field(description="why it would run, or is not needed, one line each; empty if it is cached")
    digest: str | None = Field(default=None, description="of the artifact, if it is cached")


def plan(recipe: Recipe, home: Home, refresh: Collection[str] = ()) -> "Plan":
    """Plan a run. Nothing is changed but the memory of the digests of files.

    Raises:
        ThawError: The request is wrong.
    """
    made = Plan(recipe, home, refresh)
    made.go(GRAPH)
    return made


class Plan(Walk):
    """What a run would do: looks up what each node would make, for as long as its inputs are there.

    The key of the last step is not known where its inputs have yet to be made. With `decides_next`, the first thing
    that a run would do is to find whether it is needed at all.
    """

    def __init__(self, recipe: Recipe, home: Home, refresh: Collection[str]) -> None:
        """Begin; nothing is planned yet."""
        super().__init__(recipe, home, refresh)
        self.tasks: list[PlannedTask] = []
        self.last_key: str | None = None
        self.decides_next = False

    @property
    def up_to_date(self) -> bool:
        """Whether there is nothing to do."""
        return all(task.cached or not task.needed for task in self.tasks)

    @property
    def reports(self) -> list[TaskReport]:
        """What a run that has nothing to do would say of the tasks that are there."""
        return [
            TaskReport(name=task.name, state="completed", cached=True, seconds=0.0, digest=task.digest)
            for task in self.tasks
            if task.digest is not None
        ]

    def visit(self, node: Node) -> ArtifactRef | None:
        """Say whether what a node makes is there, and if not, why."""
        self.last_key = None
        ref, reasons = self._examine(node)
        if ref is None and node.may_end is not None and node.may_end(self.recipe) and not self.refresh:
            self.decides_next |= all(task.cached for task in self.tasks)
            reasons = [*reasons, "it finds whether the tasks after it are needed"]
        self._note(node, reasons, ref)
        return ref

    def provide(self, node: Node, step: Step) -> None:
        """Say why what is made on demand would be made."""
        self._note(node, _REFRESHED if node.name in self.refresh else self._why(step, self.home.find(step)[1]))

    def serves(self, step: Step) -> bool:
        """Take it that it would be there."""
        del step
        return True

    def _make(self, node: Node) -> Any:
        try:
            return super()._make(node)
        except PublishError as error:  # a damaged champion, as below
            self._note(node, [str(error)])
            return None

    def leave_open(self, node: Node) -> None:
        """Say that it may have to run."""
        self._note(node, [f"{self._last_missing()} would run before it, and decides whether it is needed"])

    def leave_out(self, nodes: Sequence[Node]) -> None:
        """Say that a run ends before them, and why."""
        reasons = self.nothing_new
        for node in nodes:
            if node.may_be_asked is None:
                self.tasks.append(PlannedTask(name=node.name, cached=False, needed=False, reasons=reasons))
                reasons = [f"{nodes[0].name} is not needed"]

    def _examine(self, node: Node) -> tuple[ArtifactRef | None, list[str]]:
        if not self.knows(node):
            return None, [f"{self._last_missing()} would run before it"]
        if node.name in self.refresh:
            return None, _REFRESHED
        try:
            step = self.asked(node)
        except PublishError as error:  # a damaged champion; the run repairs it before it compares
            return None, [str(error)]
        self.last_key = step.key
        ref, problem = self.home.find(step)
        return ref, [] if ref is not None else self._why(step, problem)

    def _note(self, node: Node, reasons: list[str], ref: ArtifactRef | None = None) -> None:
        digest = None if ref is None else ref.digest
        self.tasks.append(PlannedTask(name=node.name, cached=ref is not None, reasons=reasons, digest=digest))

    def _last_missing(self) -> str:
        return [task.name for task in self.tasks if not task.cached][-1]

    def _why(self, step: Step, problem: str | None) -> list[str]:
        if problem is not None:
            return [problem]
        documents = self.home.store.key_documents(step.kind)
        name = step.key_document["depends_on"].get("name")
        same_task = [document for document in documents if document["depends_on"].get("name") == name]
        nearest = most_similar(same_task, step.key_document)
        return ["it has not run yet"] if nearest is None else explain(nearest, step.key_document)
