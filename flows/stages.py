"""Runs the two stages of a recipe. What a stage's frozen layers put out is computed first, where that pays."""

from collections.abc import Callable
from pathlib import Path

from thaw.flows import steps
from thaw.flows.journal import Journal
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.artifacts.store import ArtifactStore
from thaw.tasks.task import StepTask
from thaw.tasks.training.features.step import FeaturesStep
from thaw.tasks.training.step import TrainStep
from thaw.tasks.training.task import compute_features_one, compute_features_two, train_stage_one, train_stage_two


def train_in_two_stages(journal: Journal, records: ArtifactRef) -> tuple[ArtifactRef, ArtifactRef]:
    """Train both stages.

    Args:
        journal: Runs the tasks.
        records: The records artifact.

    Returns:
        The artifacts of stage one and of stage two.
    """
    recipe, home = journal.recipe, journal.home
    stage_one = _train(
        journal,
        (compute_features_one, train_stage_one),
        steps.features_one_step(recipe, home, records),
        lambda features: steps.stage_one_step(recipe, home, records, features),
    )
    stage_two = _train(
        journal,
        (compute_features_two, train_stage_two),
        steps.features_two_step(recipe, home, records, stage_one),
        lambda features: steps.stage_two_step(recipe, records, stage_one, features),
    )
    return stage_one, stage_two


def _train(
    journal: Journal,
    tasks: tuple[StepTask, StepTask],
    features: FeaturesStep | None,
    stage_with: Callable[[FeaturesStep | None], TrainStep],
) -> ArtifactRef:
    compute_features, train_stage = tasks
    stage = stage_with(features)
    # A stage that is there needs no features, which are large, and may have been removed.
    if features is not None and (train_stage.name in journal.refresh or not journal.has(stage)):
        # Those of stage one may be for stage two as well.
        made = journal.found.get(features.key) or journal.run(compute_features, features)
        if not _are_there(journal.home, features, made):
            stage = stage_with(None)
    return journal.run(train_stage, stage)


def _are_there(home: Path, features: FeaturesStep, made: ArtifactRef) -> bool:
    return features.lasts(ArtifactStore(home).facts(made))  # else the disk had no room for them
