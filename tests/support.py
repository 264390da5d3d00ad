"""What tests of several packages share: small pictures, and steps that run in this process instead of a child."""

import importlib
import io
import typing
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydantic_core import to_jsonable_python

from thaw.flows.graph import PREPARATION, Node, Walk
from thaw.pipeline_config.loading import parse_recipe
from thaw.pipeline_config.schema import Recipe
from thaw.tasks.artifacts.manifest import ArtifactRef, digest_of
from thaw.tasks.artifacts.step import Cost, Made, Step
from thaw.tasks.artifacts.store import ArtifactStore, write_json
from thaw.tasks.calibration.step import CALIBRATION_NAME, CalibrateStep, CalibrationFacts, Reliability
from thaw.tasks.home import Home
from thaw.tasks.process import Reporter, Work
from thaw.tasks.verdict.step import BaselineFacts, BaselineStep

COLOURS = {"blue": (40, 60, 200), "green": (50, 190, 60), "red": (200, 50, 40)}


def write_pictures(folder: Path, *, classes: tuple[str, ...] = ("blue", "red"), each: int = 12, size: int = 24) -> Path:
    """Write noisy pictures of plain colours, one folder per class: easy to learn, and no two alike."""
    random = np.random.default_rng(7)
    for name in classes:
        (folder / name).mkdir(parents=True)
        for number in range(each):
            noise = random.normal(0, 40, (size, size + number % 5, 3))
            pixels = np.clip(np.asarray(COLOURS[name]) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number:03}.png")
    return folder


def small_recipe(data: Path, **changes: Any) -> Recipe:
    """A recipe that trains a small network for moments; `changes` replace its keys."""
    optimizer = {"name": "adam", "learning_rate": 0.01}
    document: dict[str, Any] = {
        "name": "small",
        "seed": 3,
        "dataset": {"source": {"kind": "directory", "path": str(data)}},
        "model": {"backbone": "SmallCNN", "dropout": 0.1},
        "augment": [{"name": "random_flip"}, {"name": "random_translation", "height": 0.1, "width": 0.1}],
        "stage_one": {"resolution": 16, "train": "all", "epochs": 2, "batch_size": 8, "optimizer": optimizer},
        "stage_two": {
            "resolution": 24,
            "train": {"last_blocks": 1},
            "epochs": 2,
            "batch_size": 8,
            "optimizer": optimizer,
        },
        "publish": {"min_examples": 1},
        "execution": {"retries": 0},
    }
    return parse_recipe(document | changes)


def silent_reporter() -> Reporter:
    return Reporter(io.StringIO())


def store_of(home: Path) -> ArtifactStore:
    return Home.open(home).store


def without_cost(facts: Any = None) -> Made:
    """What work leaves that took no time; its facts are a pydantic model or a JSON document."""
    return Made({} if facts is None else to_jsonable_python(facts), Cost(seconds=0.0))


def build_here(home: Path, step: Step, work_class: type[Work], function: Callable[[Any, Reporter], Any]) -> ArtifactRef:
    """Build a step's artifact without a child process."""
    store = store_of(home)

    def work(folder: Path) -> Made:
        request: dict[str, Any] = {"home": home, "folder": folder, "step": step}
        if "checkpoints" in work_class.model_fields:
            request["checkpoints"] = store.checkpoints(step.key)
        return Made.timed(lambda: function(work_class.model_validate(request), silent_reporter())).parted()[0]

    return store.build(step, work)


class WalkHere(Walk):
    """Goes through a graph in this process, without Prefect; `ran` names the nodes that had something to do."""

    def __init__(self, recipe: Recipe, home: Path, refresh: Collection[str] = ()) -> None:
        super().__init__(recipe, Home.open(home), refresh)
        self.ran: list[str] = []

    def visit(self, node: Node) -> ArtifactRef:
        if node.prepare is not None:
            node.prepare(self.home)
        return self.build(node, self.asked(node))

    def provide(self, node: Node, step: Step) -> None:
        self.build(node, step)

    def build(self, node: Node, step: Step) -> ArtifactRef:
        for made in step.together() if node.name in self.refresh else ():
            self.home.store.forget(made.key)
        if self.home.store.look_up(step.key) is None:
            self.ran.append(node.name)
        return self.home.store.build_together(step.together(), lambda missing: self.work(node, missing))[0]

    def work(self, node: Node, missing: Sequence[tuple[Step, Path]], **request: Any) -> list[Made]:
        """Do the work of a step in this process."""
        del node
        (step, folder), *others = missing
        if others:
            request["also"] = [{"step": other, "folder": place} for other, place in others]
        request_made = self.request_of(step, folder, **request)
        return Made.timed(lambda: function_of(step)(request_made, silent_reporter())).parted()

    def request_of(self, step: Step, folder: Path, **request: Any) -> Work:
        """What a step's work gets."""
        work_class: type[Work] = typing.get_type_hints(function_of(step))["work"]
        request |= {"home": self.home, "folder": folder, "step": step}
        if "checkpoints" in work_class.model_fields:
            request["checkpoints"] = self.home.store.checkpoints(step.key)
        return work_class.model_validate(request)


def function_of(step: Step) -> Any:
    """What does a step's work."""
    module, _, name = step.work.partition(":")
    return getattr(importlib.import_module(module), name)


def build_records(home: Path, recipe: Recipe) -> ArtifactRef:
    """Ingest a recipe's source and write its records."""
    walk = WalkHere(recipe, home)
    walk.go(PREPARATION)
    ref: ArtifactRef = walk.made["records"]
    return ref


def calibration_of(home: Path, temperature: float = 1.0) -> ArtifactRef:
    """The calibration artifact of a model that needs this temperature: enough to ask for an evaluation."""
    made_from = ArtifactRef(kind="none", digest=digest_of(temperature))
    step = CalibrateStep(
        records=made_from,
        stage_one=None,
        stage_two=made_from,
        confidence=None,
        calibrate=True,
        abstain=None,
        batch_size=1,
    )
    same = Reliability(loss=0.1, expected_calibration_error=0.1)
    facts = CalibrationFacts(images=1, right=1, temperature=temperature, before=same, after=same, abstain=None)

    def work(folder: Path) -> Made:
        write_json(folder / CALIBRATION_NAME, facts.model_dump(mode="json"))  # by which an artifact has its name
        return without_cost(facts)

    return store_of(home).build(step, work)


def baseline_without_champion(home: Path) -> ArtifactRef:
    """The baseline artifact of a recipe's first run, without its table: enough to ask for a verdict."""
    step = BaselineStep(records=ArtifactRef(kind="records", digest="0" * 64), champion=None, anchor=None)
    return store_of(home).build(
        step, lambda _: without_cost(BaselineFacts(champion=None, anchor=None, scores={}, test_split=""))
    )
