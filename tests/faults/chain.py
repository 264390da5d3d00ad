"""A small but whole run as a list of steps in one process, without Prefect: what the flow does, in the flow's order."""

import functools
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.artifacts.steps import LetterStep, write_letters
from tests.publishing.helpers import judge, run
from tests.support import build_here, small_recipe, write_pictures
from thaw.flows import steps
from thaw.flows.commands.home import prepare_home
from thaw.pipeline_config.errors import ThawError
from thaw.pipeline_config.schema import Recipe
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.artifacts.step import Step
from thaw.tasks.evaluation.step import EvaluateWork
from thaw.tasks.evaluation.verdict import VerdictWork, write_verdict
from thaw.tasks.home import Home
from thaw.tasks.ingest.step import IngestWork
from thaw.tasks.process import Reporter, Work
from thaw.tasks.publishing.publish import publish
from thaw.tasks.publishing.step import PublishStep, PublishWork
from thaw.tasks.records.step import RecordsWork
from thaw.tasks.runs import ReleaseReport, RunResult, StageReport, recall, remember
from thaw.tasks.training.features.step import FeaturesStep, FeaturesWork
from thaw.tasks.training.step import TrainWork

OLD_TAG, NEW_TAG = "old", "new"

StepFunction = Callable[[Path, dict[str, Any]], None]


@dataclass(frozen=True)
class Chain:
    """The steps of a run.

    Attributes:
        recipe: Its recipe's name.
        steps: Functions of a home folder and of what the steps before have found; by name, in order.
        imports: Modules to import before the first fork, because they take seconds.
    """

    recipe: str
    steps: dict[str, StepFunction]
    imports: tuple[str, ...] = ()


def prepare(home: Path) -> None:
    """Make the home folder that a chain begins with: its recipe has a champion, which is worse than any."""
    run(home, "small", OLD_TAG, 0.0)


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
        found["letters"] = Home.open(home).store.build(LetterStep(text="x"), work)

    def release(home: Path, found: dict[str, Any]) -> None:
        found["release"] = _at_the_border(judge, home, "small", NEW_TAG, 0.9)

    return Chain(
        recipe="small",
        steps={
            "prepare_home": _prepare_home,
            "letters": letters,
            "release": release,
            "publish": _publish,
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
    build = functools.partial(_build_as_child, recipe)
    return Chain(
        recipe="small",
        steps={
            "prepare_home": _prepare_home,
            "ingest": build("ingest", IngestWork, "thaw.tasks.ingest.work:ingest"),
            "records": build("records", RecordsWork, "thaw.tasks.records.work:write_records"),
            "stage_one": build("stage_one", TrainWork, "tests.faults.chain:train_with_checkpoints"),
            "features_two": build("features_two", FeaturesWork, "thaw.tasks.training.features.work:compute_features"),
            "stage_two": build("stage_two", TrainWork, "tests.faults.chain:train_with_checkpoints"),
            "evaluate": build("evaluation", EvaluateWork, "thaw.tasks.evaluation.work:evaluate"),
            "compare": functools.partial(_compare, recipe),
            "release": build("release", PublishWork, "thaw.tasks.publishing.work:write_release"),
            "publish": _publish,
            "remember": _remember,
        },
        imports=(
            "thaw.tasks.records.work",
            "thaw.tasks.training.features.work",
            "thaw.tasks.training.work",
            "thaw.tasks.evaluation.work",
            "thaw.tasks.publishing.work",
        ),
    )


def train_with_checkpoints(work: TrainWork, reporter: Reporter) -> dict[str, Any]:
    """Train a stage with checkpoints in the middle of epochs: three, of which the first is removed again."""
    from thaw.tasks.training.work import train_stage

    return train_stage(work.model_copy(update={"checkpoint_every": 2}), reporter)


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


@dataclass(frozen=True)
class _Requests:
    """Makes each step's request of what the steps before have found, as `thaw.flows.retrain` does."""

    recipe: Recipe
    home: Path
    found: dict[str, Any]

    def make(self, name: str) -> Step:
        recipe, home, found = self.recipe, self.home, self.found
        inputs = ("dataset", "records", "stage_one", "stage_two", "evaluation", "verdict")
        makers: dict[str, Callable[[], Step]] = {
            "ingest": lambda: steps.ingest_step(recipe, home),
            "records": lambda: steps.records_step(recipe, found["ingest"]),
            "stage_one": lambda: steps.stage_one_step(recipe, home, found["records"]),
            "features_two": self._features_two,
            "stage_two": lambda: steps.stage_two_step(
                recipe, found["records"], found["stage_one"], self._features_two()
            ),
            "evaluation": lambda: steps.evaluate_step(recipe, found["records"], found["stage_one"], found["stage_two"]),
            "release": lambda: PublishStep(
                recipe=recipe, **{name: found["ingest" if name == "dataset" else name] for name in inputs}
            ),
        }
        return makers[name]()

    def _features_two(self) -> FeaturesStep:
        step = steps.features_two_step(self.recipe, self.home, self.found["records"], self.found["stage_one"])
        assert step is not None
        return step


def _build_as_child(recipe: Recipe, name: str, work_class: type[Work], function: str) -> StepFunction:
    def build(home: Path, found: dict[str, Any]) -> None:
        step = _Requests(recipe, home, found).make(name)
        module, _, function_name = function.partition(":")
        work = getattr(importlib.import_module(module), function_name)

        def noted_work(request: Work, reporter: Reporter) -> dict[str, Any]:
            found.setdefault("ran", []).append(name)
            facts: dict[str, Any] = _at_the_border(work, request, reporter)
            return facts

        found[name] = build_here(home, step, work_class, noted_work)

    return build


def _at_the_border(work: Callable[..., Any], *arguments: Any) -> Any:
    # What `thaw.tasks.step_process` does with the errors of a child.
    try:
        return work(*arguments)
    except ThawError:
        raise
    except Exception as error:
        raise ThawError(f"{work.__name__}: {type(error).__name__}: {error}") from error


def _compare(recipe: Recipe, home: Path, found: dict[str, Any]) -> None:
    step = steps.verdict_step(recipe, home, found["evaluation"], repair=True)
    found["verdict"] = Home.open(home).store.build(
        step, lambda folder: write_verdict(VerdictWork(home=home, folder=folder, step=step))
    )


def _prepare_home(home: Path, found: dict[str, Any]) -> None:
    prepare_home(home)


def _publish(home: Path, found: dict[str, Any]) -> None:
    release: ArtifactRef = found["release"]
    found["info"] = publish(home, release)


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
    if recall(home, info.evaluation) is None:
        remember(home, info.evaluation, result)
