"""The run, declared once: its tasks, what each is asked, and from what it is made. No Prefect.

Running, planning, refreshing and comparing go through these nodes in this order, and the names of tasks are theirs.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from thaw.flows import requests
from thaw.flows.need import may_see_no_need, may_see_no_need_by_features, why_not
from thaw.pipeline_config.errors import RequestError
from thaw.pipeline_config.messages import received
from thaw.pipeline_config.schema import Recipe
from thaw.pipeline_config.strict import nearest_hint
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.artifacts.step import Step
from thaw.tasks.home import Home


@dataclass(frozen=True)
class Node:
    """A task of a run.

    Attributes:
        task: "package:task", its door below `thaw.tasks`, which imports Prefect.
        ask: Makes its request of the recipe, the home and what its inputs have made.
        inputs: Names of the nodes whose artifacts it is made from.
        may_be_asked: By the recipe alone, whether there may be something to ask, where it is not known yet what that
            would be. None: there always is.
        on_demand: Whether those that are made from it need what it makes only while they are made themselves. They are
            asked with its request in place of its artifact.
        looks_outside: Whether its request depends on more than the recipe and its inputs: on the images, or on the
            releases that there are.
        prepare: What a run does before it makes the request, and a plan does not.
        ends: By the recipe, the home, what it has made and what that was made from: why the run needs none of the nodes
            after it. Nothing where it does.
        may_end: By the recipe alone, whether it might.
    """

    name: str
    task: str
    ask: Callable[..., Step | None]
    inputs: tuple[str, ...] = ()
    may_be_asked: Callable[[Recipe], bool] | None = None
    on_demand: bool = False
    looks_outside: bool = False
    prepare: Callable[[Home], None] | None = None
    ends: Callable[..., list[str]] | None = None
    may_end: Callable[[Recipe], bool] | None = None


_TRAINED = ("records", "stage_one", "stage_two")
_JUDGED = ("ingest", *_TRAINED, "calibrate", "evaluate", "verdict")

# Read every image once, check it, and decide which split it belongs to.
INGEST = Node("ingest", "ingest:ingest", requests.ingest, looks_outside=True)
# Write the images as TFRecord shards.
RECORDS = Node("records", "records:write_records", requests.records, ("ingest",))
PREPARATION = (INGEST, RECORDS)
# What the frozen layers put out is computed once, where that pays.
FEATURES_ONE = Node(
    "features_one",
    "training:compute_features_one",
    requests.features_one,
    ("records",),
    may_be_asked=requests.may_want_features_one,
    on_demand=True,
)
STAGES = (
    # Train the head, or at low resolution.
    Node("stage_one", "training:train_stage_one", requests.stage_one, ("records", "features_one")),
    # Thaw, and go on from there.
    Node(
        "features_two",
        "training:compute_features_two",
        requests.features_two,
        ("records", "stage_one"),
        may_be_asked=requests.may_want_features_two,
        on_demand=True,
    ),
    Node("stage_two", "training:train_stage_two", requests.stage_two, ("records", "stage_one", "features_two")),
)
TRAINING = (FEATURES_ONE, *STAGES)
# Find on the validation split how far its probabilities can be trusted, and which stage is released.
CALIBRATION = Node("calibrate", "calibration:calibrate", requests.calibrate, _TRAINED)
# Judge the model on the test split, and what each stage earned there.
EVALUATION = Node("evaluate", "evaluation:evaluate", requests.evaluate, (*_TRAINED, "calibrate"))
GRAPH = (
    INGEST,
    # Look what changed since the champion learned, and whether that is worth a training.
    Node(
        "preflight",
        "preflight:look",
        requests.preflight,
        ("ingest",),
        looks_outside=True,
        prepare=requests.mend_releases,
        ends=why_not,
        may_end=may_see_no_need,
    ),
    RECORDS,
    FEATURES_ONE,
    # Look whether what the frozen layers put out is another for new images, if the recipe asks for it.
    Node(
        "feature_drift",
        "feature_drift:compare_features",
        requests.feature_drift,
        ("ingest", "preflight", "records", "features_one"),
        may_be_asked=requests.may_compare_features,
        ends=why_not,
        may_end=may_see_no_need_by_features,
    ),
    *STAGES,
    CALIBRATION,
    EVALUATION,
    # Let the champion answer for the same images, and compare.
    Node(
        "baseline",
        "verdict:score_baseline",
        requests.baseline,
        ("records", "evaluate"),
        looks_outside=True,
        prepare=requests.mend_releases,
    ),
    Node(
        "verdict",
        "verdict:give_verdict",
        requests.verdict,
        ("ingest", "stage_one", "stage_two", "calibrate", "evaluate", "baseline"),
        looks_outside=True,
    ),
    # Show all of it on a page.
    Node("report", "report:write_report", requests.report, _JUDGED),
    # Write the release, and make it the champion if the verdict says so.
    Node("publish", "publishing:publish_release", requests.publish, (*_JUDGED, "report")),
)
# What `thaw compare` runs for each recipe and seed, besides the preparation: nothing is published.
EXPERIMENT = (*TRAINING, CALIBRATION, EVALUATION)

_NODES = {node.name: node for node in GRAPH}

if TYPE_CHECKING:
    TaskName = str
else:  # a list to choose from in the Prefect UI
    TaskName = Literal[tuple(node.name for node in GRAPH)]


def with_all_after(names: Iterable[str]) -> frozenset[TaskName]:
    """Add to some tasks all that depend on them.

    Raises:
        RequestError: There is no such task.
    """
    known = list(_NODES)
    found = set(names)
    for name in found.difference(known):
        raise RequestError(
            f"There is no task {received(name)}. Expected one of: {', '.join(known)}.{nearest_hint(name, known)}"
        )
    for node in GRAPH:
        if found.intersection(node.inputs):
            found.add(node.name)
    return frozenset(found)


def _artifacts_for(node: Node) -> list[str]:
    return [name for name in node.inputs if not _NODES[name].on_demand]


class Walk(ABC):
    """Goes through nodes in their order, and hands on what each has made.

    Attributes:
        made: What each node has made: its artifact, or its request if that is made on demand; None where there is none.
        nothing_new: Why it ended before its last node; empty where it did not.
    """

    def __init__(self, recipe: Recipe, home: Home, refresh: Collection[str] = ()) -> None:
        """Begin; what is to be refreshed is made again, although it is there."""
        self.recipe, self.home, self.refresh = recipe, home, refresh
        self.made: dict[str, Any] = {}
        self.nothing_new: list[str] = []
        self._tried: set[str] = set()

    def go(self, nodes: Sequence[Node]) -> None:
        """Go through some nodes, those that they are made from before them, until one of them ends it."""
        for number, node in enumerate(nodes, start=1):
            self.made[node.name] = self._make(node)
            # Who asks for a task again wants it done.
            if node.ends is not None and not any(later.name in self.refresh for later in nodes[number:]):
                self.nothing_new = self._why_it_ends(node, node.ends)
            if self.nothing_new:
                self.leave_out(nodes[number:])
                return

    def request(self, node: Node) -> Step | None:
        """Make a node's request of what its inputs have made; None where there is nothing to ask."""
        return node.ask(self.recipe, self.home, **{name: self.made[name] for name in node.inputs})

    def asked(self, node: Node) -> Step:
        """Make the request of a node that has one."""
        step = self.request(node)
        if step is None:
            raise LookupError(f"{node.name} has nothing to be asked")
        return step

    def serve(self, consumer: Node) -> None:
        """Make what a node needs only while it is made itself, unless that is there.

        What is there needs no features, which are large, and may have been removed.
        """
        for name in consumer.inputs:
            node, step = _NODES[name], self.made[name]
            if not node.on_demand or step is None or not self.knows(consumer) or self._is_there(consumer):
                continue
            # What the work of an earlier node has made, or could not make, is not tried again.
            if step.key not in self._tried and (name in self.refresh or self.home.find(step)[0] is None):
                self._tried.update(made.key for made in step.together())
                self.provide(node, step)
            if not self.serves(step):
                self.made[name] = None

    def _make(self, node: Node) -> Any:
        if node.may_be_asked is not None:
            if not self.knows(node):
                if node.may_be_asked(self.recipe):
                    self.leave_open(node)
                return None
            step = self.request(node)
            if step is None or node.on_demand:
                return step
        self.serve(node)
        return self.visit(node)

    def _is_there(self, node: Node) -> bool:
        return node.name not in self.refresh and self.home.find(self.asked(node))[0] is not None

    def _why_it_ends(self, node: Node, ends: Callable[..., list[str]]) -> list[str]:
        names = (node.name, *_artifacts_for(node))
        made = {name: self.made[name] for name in names}
        return [] if None in made.values() else ends(self.recipe, self.home, **made)

    def leave_out(self, nodes: Sequence[Node]) -> None:
        """Go past nodes that are not needed."""
        del nodes

    def knows(self, node: Node) -> bool:
        """Say whether all that a node's request is made of is there. What is made on demand may be missing."""
        return all(self.made[name] is not None for name in _artifacts_for(node))

    def leave_open(self, node: Node) -> None:
        """Go on past a node of which it is not known yet whether there is something to ask."""
        del node

    @abstractmethod
    def visit(self, node: Node) -> ArtifactRef | None:
        """Make what a node makes, or say what would be made."""

    @abstractmethod
    def provide(self, node: Node, step: Step) -> None:
        """Make what is made on demand, or say what would be made."""

    def serves(self, step: Step) -> bool:
        """Say whether what is made on demand is there now. Where it could not be made, who needs it does without.

        What an attempt that was killed has left of it is removed.
        """
        return self.home.store.look_up(step.key) is not None
