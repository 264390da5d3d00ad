"""What the tests of features share: a small network with frozen layers, and its steps run in this process."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import build_here, build_records, silent_reporter, small_recipe
from thaw.flows import requests
from thaw.pipeline_config.schema import Recipe
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.artifacts.step import Made, Step
from thaw.tasks.artifacts.store import ArtifactStore
from thaw.tasks.home import Home
from thaw.tasks.process import Reporter
from thaw.tasks.training.features.step import FeaturesStep, FeaturesWork
from thaw.tasks.training.features.work import compute_features
from thaw.tasks.training.step import TrainStep, TrainWork
from thaw.tasks.training.work import train_stage

AUGMENT = [{"name": "random_flip"}, {"name": "random_translation", "height": 0.1, "width": 0.1}]


def stage(**settings: Any) -> dict[str, Any]:
    """The settings of a stage of a few steps."""
    optimizer = {"name": "adam", "learning_rate": 0.01}
    return {
        "resolution": 16,
        "train": "head",
        "epochs": 3,
        "batch_size": 8,
        "optimizer": optimizer,
        "feature_views": 3,
    } | settings


@dataclass
class Place:
    """A home folder with records."""

    home: Home
    recipe: Recipe
    records: ArtifactRef

    @property
    def store(self) -> ArtifactStore:
        return self.home.store

    def features_one(self) -> FeaturesStep:
        step = requests.features_one(self.recipe, self.home, self.records)
        assert step is not None
        return step

    def features_two(self, stage_one: ArtifactRef | None = None) -> FeaturesStep:
        step = requests.features_two(self.recipe, self.home, self.records, stage_one)
        assert step is not None
        return step

    def stage_one(self, features: FeaturesStep | None) -> TrainStep:
        return requests.stage_one(self.recipe, self.home, self.records, features)

    def stage_two(self, stage_one: ArtifactRef, features: FeaturesStep | None) -> TrainStep:
        return requests.stage_two(self.recipe, self.home, self.records, stage_one, features)

    def compute(self, step: FeaturesStep, reporter: Reporter | None = None) -> list[ArtifactRef]:
        """Compute a stage's features, and in the same pass those that its request names besides."""
        steps = [step] if step.also is None else [step, step.also]

        def work(missing: Sequence[tuple[Step, Path]]) -> list[Made]:
            (first, folder), *others = missing
            also = [{"step": other, "folder": place} for other, place in others]
            request = FeaturesWork.model_validate({"home": self.home, "folder": folder, "step": first, "also": also})
            return Made.timed(lambda: compute_features(request, reporter or silent_reporter())).parted()

        return self.store.build_together(steps, work)

    def train(self, step: TrainStep) -> ArtifactRef:
        return build_here(self.home.path, step, TrainWork, train_stage)


def place_for(data: Path, home: Path, **changes: Any) -> Place:
    """Make the records of a recipe in a home folder."""
    recipe = small_recipe(data, **{"augment": AUGMENT, "stage_one": stage(), "stage_two": stage()} | changes)
    return Place(Home.open(home), recipe, build_records(home, recipe))
