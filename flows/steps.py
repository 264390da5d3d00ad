"""From a recipe to the request of each step. No Prefect here, so that a plan needs no server."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal, get_args

from thaw.pipeline_config.errors import RequestError
from thaw.pipeline_config.schema import Recipe
from thaw.pipeline_config.strict import nearest
from thaw.tasks.artifacts.file_digests import FileDigests
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.artifacts.store import ArtifactStore
from thaw.tasks.evaluation.stage_answers_step import StageAnswersStep
from thaw.tasks.evaluation.step import EvaluateStep
from thaw.tasks.evaluation.verdict import VerdictStep
from thaw.tasks.ingest.sources import content_digest
from thaw.tasks.ingest.step import IngestStep
from thaw.tasks.publishing.publish import find_opponent
from thaw.tasks.records.step import RecordsStep
from thaw.tasks.training.features.choice import possible_views, views_of
from thaw.tasks.training.features.step import FeaturesStep, Tap, features_of
from thaw.tasks.training.step import TrainStep, weights_digest

TaskName = Literal[
    "ingest", "records", "features_one", "stage_one", "features_two", "stage_two", "evaluate", "verdict", "publish"
]
TASK_NAMES: tuple[TaskName, ...] = get_args(TaskName)  # in the order in which they run


def with_all_after(names: Iterable[str]) -> frozenset[TaskName]:
    """Add to some tasks all that depend on them.

    Args:
        names: Names of tasks.

    Returns:
        The tasks, and all that come after the first of them: each depends on the one before.

    Raises:
        RequestError: There is no such task.
    """
    places: list[int] = []
    for name in names:
        if name not in TASK_NAMES:
            hint = nearest(name, [*TASK_NAMES])
            raise RequestError(
                f"There is no task {name!r}. Expected one of: {', '.join(TASK_NAMES)}."
                + (f" Nearest: {hint}." if hint else "")
            )
        places.append(TASK_NAMES.index(name))
    return frozenset(TASK_NAMES[min(places) :]) if places else frozenset()


def ingest_step(recipe: Recipe, home: Path) -> IngestStep:
    """Ask for the dataset. Reads the source, because its content is part of the key."""
    dataset = recipe.dataset
    return IngestStep(
        dataset=dataset.model_copy(update={"seed": None}),  # one seed, wherever it stands, is one dataset
        seed=recipe.seed if dataset.seed is None else dataset.seed,
        content=content_digest(dataset.source, home),
    )


def records_step(recipe: Recipe, dataset: ArtifactRef) -> RecordsStep:
    """Ask for the dataset's images as TFRecord shards."""
    return RecordsStep(dataset=dataset, source=recipe.dataset.source, records=recipe.records)


def stage_one_step(recipe: Recipe, home: Path, records: ArtifactRef, features: FeaturesStep | None = None) -> TrainStep:
    """Ask for the first stage: from the recipe's weights, on what its frozen layers put out if that is there."""
    return TrainStep(
        name="stage_one",
        records=records,
        model=recipe.model,
        weights_sha256=weights_digest(recipe.model, FileDigests(home)),
        stage=recipe.stage_one,
        seed=recipe.seed,
        deterministic=recipe.deterministic,
        precision=recipe.precision,
        devices=recipe.devices,
        features_key=None if features is None else features.key,
    )


def stage_two_step(
    recipe: Recipe, records: ArtifactRef, stage_one: ArtifactRef, features: FeaturesStep | None = None
) -> TrainStep:
    """Ask for the second stage: from the first one's kept weights, in the same way."""
    return TrainStep(
        name="stage_two",
        records=records,
        model=recipe.model.model_copy(update={"weights": None}),  # where stage one's came from makes no difference
        start=stage_one,
        stage=recipe.stage_two,
        seed=recipe.seed,
        deterministic=recipe.deterministic,
        precision=recipe.precision,
        devices=recipe.devices,
        features_key=None if features is None else features.key,
    )


def features_one_step(recipe: Recipe, home: Path, records: ArtifactRef) -> FeaturesStep | None:
    """Ask for what stage one's frozen layers put out, and stage two's where they are the same; None for none."""
    one, two = _taps(recipe, home, records)
    if one is None:
        return None
    taps = [one, two] if two is not None and one_pass_does(recipe) else [one]
    return features_of(stage_one_step(recipe, home, records), taps)


def features_two_step(recipe: Recipe, home: Path, records: ArtifactRef, stage_one: ArtifactRef) -> FeaturesStep | None:
    """Ask for what stage two's frozen layers put out; None for none."""
    one, two = _taps(recipe, home, records)
    if two is None:
        return None
    if one is not None and one_pass_does(recipe):
        return features_one_step(recipe, home, records)
    return features_of(stage_two_step(recipe, records, stage_one), [two])


def _taps(recipe: Recipe, home: Path, records: ArtifactRef) -> list[Tap | None]:
    images = ArtifactStore(home).facts(records)["examples"]["train"]
    taps: list[Tap | None] = []
    for name, stage in (("stage_one", recipe.stage_one), ("stage_two", recipe.stage_two)):
        views = views_of(stage, recipe.model.backbone, images)
        forced = stage.feature_views != "auto"
        taps.append(Tap(stage=name, train=stage.train, views=views, forced=forced) if views else None)
    return taps


def one_pass_does(recipe: Recipe) -> bool:
    """Say whether the features of stage two are made together with those of stage one.

    Args:
        recipe: The recipe.

    Returns:
        Whether stage one leaves the backbone as it was, and both stages learn from views of the same pictures.
    """
    one, two = recipe.stage_one, recipe.stage_two
    same_pictures = (one.resolution, one.augment) == (two.resolution, two.augment)
    return one.train == "head" and same_pictures and min(possible_views(one), possible_views(two)) > 0


def evaluate_step(recipe: Recipe, records: ArtifactRef, stage_one: ArtifactRef, stage_two: ArtifactRef) -> EvaluateStep:
    """Ask for the judgement of the second stage's model on the test split."""
    return EvaluateStep(
        recipe_name=recipe.name,
        records=records,
        stage_one=stage_one,
        stage_two=stage_two,
        stage_one_settings=recipe.stage_one,
        stage_two_settings=recipe.stage_two,
        evaluate=recipe.evaluate,
        seed=recipe.seed,
    )


def stage_answers_step(
    recipe: Recipe, records: ArtifactRef, stage_one: ArtifactRef, stage_two: ArtifactRef
) -> StageAnswersStep:
    """Ask for what both stages' weights answer on the test split."""
    return StageAnswersStep(
        records=records, stage_one=stage_one, stage_two=stage_two, batch_size=recipe.evaluate.batch_size
    )


def verdict_step(recipe: Recipe, home: Path, evaluation: ArtifactRef, *, repair: bool) -> VerdictStep:
    """Ask whether the new model is better than the recipe's champion, as it is now; `repair` it if it is damaged."""
    return VerdictStep(evaluation=evaluation, opponent=find_opponent(home, recipe.name, evaluation, repair=repair))
