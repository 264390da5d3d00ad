"""What the tests of features share: a small network with frozen layers, and its steps run in this process."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import build_here, build_records, small_recipe
from thaw.flows import steps
from thaw.pipeline_config.schema import Recipe
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.artifacts.store import ArtifactStore
from thaw.tasks.home import Home
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

    home: Path
    recipe: Recipe
    records: ArtifactRef

    @property
    def store(self) -> ArtifactStore:
        return Home.open(self.home).store

    def features_one(self) -> FeaturesStep:
        step = steps.features_one_step(self.recipe, self.home, self.records)
        assert step is not None
        return step

    def features_two(self, stage_one: ArtifactRef) -> FeaturesStep:
        step = steps.features_two_step(self.recipe, self.home, self.records, stage_one)
        assert step is not None
        return step

    def stage_one(self, features: FeaturesStep | None) -> TrainStep:
        return steps.stage_one_step(self.recipe, self.home, self.records, features)

    def stage_two(self, stage_one: ArtifactRef, features: FeaturesStep | None) -> TrainStep:
        return steps.stage_two_step(self.recipe, self.records, stage_one, features)

    def compute(self, step: FeaturesStep) -> ArtifactRef:
        return build_here(self.home, step, FeaturesWork, compute_features)

    def train(self, step: TrainStep) -> ArtifactRef:
        return build_here(self.home, step, TrainWork, train_stage)


def place_for(data: Path, home: Path, **changes: Any) -> Place:
    """Make the records of a recipe in a home folder."""
    recipe = small_recipe(data, **{"augment": AUGMENT, "stage_one": stage(), "stage_two": stage()} | changes)
    return Place(home, recipe, build_records(home, recipe))
