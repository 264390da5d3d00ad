"""A small but whole run as a list of steps in one process, without Prefect: what the flow does, in the flow's order."""

import functools
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.artifacts.steps import LetterStep, write_letters
from tests.publishing.helpers import judge, run
from tests.support import WalkHere, small_recipe, store_of, write_pictures
from thaw.flows.commands.home import prepare_home
from thaw.flows.graph import EXPERIMENT, GRAPH, Node
from thaw.pipeline_config.errors import ThawError
from thaw.pipeline_config.schema import Recipe
from thaw.tasks.artifacts.step import Made, Step
from thaw.tasks.home import Home
from thaw.tasks.publishing.publish import publish
from thaw.tasks.runs import ReleaseReport, RunResult, StageReport, recall, remember
from thaw.tasks.training.step import TrainStep

OLD_TAG, NEW_TAG = "old", "new"
_UNTIL_TRAINED = ("ingest", "preflight", "records", "training.features", "training")
_PACKAGES = (*_UNTIL_TRAINED, "calibration", "evaluation", "verdict", "report", "publishing")

StepFunction = Callable[[Path, dict[str, Any]], None]


@dataclass(frozen=True)
class Chain:
    """The steps of a run.

    Attributes:
        recipe: Its recipe's name.
        steps: Functions of a home folder and of what the steps before have found; by name, in order.
        imports: Modules to import before the first fork, because they take seconds.
        champion: Makes the Keras file of the champion that the chain begins with, if it is asked anything.
    """

    recipe: str
    steps: dict[str, StepFunction]
    imports: tuple[str, ...] = ()
    champion: Callable[[], bytes] | None = None


def prepare(home: Path, chain: Chain) -> None:
    """Make the home folder that a chain begins with: its recipe has a champion, which is worse than any."""
    run(home, "small", OLD_TAG, 0.0, model=chain.champion and chain.champion())


def run_chain(chain: Chain, home: Path) -> dict[str, Any]:
    """Run all steps.

    Args:
        chain: The steps.
        home: A home folder.

    Returns:
        What they found; the names of those whose work was done are in "ran".
    """
    found: dict[str, Any] = {"ran": []}
    for step in chain.steps.values():
        step(home, found)
    return found


def light_chain() -> Chain:
    """The store, publishing and remembering, with artifacts of a few bytes. No TensorFlow."""

    def letters(home: Path, found: dict[str, Any]) -> None:
        work = functools.partial(_at_the_border, write_letters)
        found["letters"] = store_of(home).build(LetterStep(text="x"), work)

    def release(home: Path, found: dict[str, Any]) -> None:
        found["publish"] = _at_the_border(judge, home, "small", NEW_TAG, 0.9)

    return Chain(
        recipe="small",
        steps={
            "prepare_home": _prepare_home,
            "letters": letters,
            "release": release,
            "put in place": _publish,
            "remember": _remember,
        },
    )


def whole_chain(data: Path) -> Chain:
    """All tasks of a run, on pictures of 16 pixels.

    Args:
        data: The folder of the pictures; they are made if there are none.
    """
    if not data.exists():
        write_pictures(data, each=16, size=16)
    recipe = tiny_recipe(data)
    nodes = {node.name: functools.partial(_visit, recipe, node) for node in GRAPH}
    return Chain(
        recipe="small",
        steps={"prepare_home": _prepare_home, **nodes, "put in place": _publish, "remember": _remember},
        imports=tuple(f"thaw.tasks.{package}.work" for package in _PACKAGES),
        champion=_model_that_knows_no_class,
    )


def _model_that_knows_no_class() -> bytes:
    """A Keras file for pictures of 16 pixels and two classes, which are none of the pictures'."""
    import keras

    layers = [keras.Input((16, 16, 3)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)]
    model = keras.Sequential([*layers, keras.layers.Softmax()])
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "model.keras")
        return (Path(folder) / "model.keras").read_bytes()


def tiny_recipe(data: Path) -> Recipe:
    """A recipe whose stages train for six steps each; the second on what its frozen layers put out."""
    stage = {
        "resolution": 16,
        "train": "all",
        "epochs": 2,
        "batch_size": 10,  # three steps an epoch
        "optimizer": {"name": "adam", "learning_rate": 0.01},
        "keep": "best",
        "metric": "val_loss",
    }
    return small_recipe(data, augment=[], stage_one=stage, stage_two={**stage, "train": "head", "feature_views": 1})


class _Walk(WalkHere):
    """Does the work of a step as a child process does, with checkpoints in the middle of epochs: three for a stage."""

    def work(self, node: Node, missing: Sequence[tuple[Step, Path]], **request: Any) -> list[Made]:
        if isinstance(missing[0][0], TrainStep):
            request["checkpoint_every"] = 2
        made: list[Made] = _at_the_border(super().work, node, missing, **request)
        return made


def _visit(recipe: Recipe, node: Node, home: Path, found: dict[str, Any]) -> None:
    walk = _Walk(recipe, home)
    walk.made, walk.ran = found, found.setdefault("ran", [])
    found.pop(node.name, None)
    walk.go([node])
    if node.on_demand:  # here and not with the one that needs it, so that each has its own points to fail at
        for consumer in EXPERIMENT:
            if node.name in consumer.inputs:
                walk.serve(consumer)


def _at_the_border(work: Callable[..., Any], *arguments: Any, **request: Any) -> Any:
    # What `thaw.tasks.step_process` does with the errors of a child.
    try:
        return work(*arguments, **request)
    except ThawError:
        raise
    except Exception as error:
        raise ThawError(f"{work.__name__}: {type(error).__name__}: {error}") from error


def _prepare_home(home: Path, found: dict[str, Any]) -> None:
    prepare_home(home)


def _publish(home: Path, found: dict[str, Any]) -> None:
    found["info"] = publish(Home.open(home), found["publish"])


def _remember(home: Path, found: dict[str, Any]) -> None:
    info = found["info"]
    stages = [
        StageReport(name="stage", epochs=1, kept_epoch=1, val_accuracy_before=0, val_accuracy=1, weights_sha256="0")
    ]
    result = RunResult(
        run="a run",
        recipe=info.recipe,
        seconds=1.0,
        tasks=[],
        stages=stages,
        metrics={"test": {"accuracy": info.accuracy}},
        verdict=info.verdict,
        release=ReleaseReport(id=info.id, path=Path(info.id), champion=info.is_champion),
        ui_url=None,
    )
    if recall(Home.open(home), info.evaluation) is None:
        remember(Home.open(home), info.evaluation, result)
