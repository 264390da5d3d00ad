"""What a recipe's training starts from: the champion's weights, where it asks for them and they will do. No TensorFlow.

A run that is repeated has to find what it has made, also once that has become the champion. So where stage one would be
asked what the champion's own was asked, it starts from what that started from, and not from the champion.
"""

from contextlib import suppress
from pathlib import Path
from typing import Any

from thaw.pipeline_config.errors import ArtifactError, PublishError, RecipeError
from thaw.pipeline_config.schema import Recipe
from thaw.tasks.artifacts.manifest import ArtifactRef, read_manifest
from thaw.tasks.home import Home
from thaw.tasks.releases.checksums import read_checksums, verify_file
from thaw.tasks.releases.registry import Registry
from thaw.tasks.releases.release import Release, read_in_place, recipe_of
from thaw.tasks.training.features.step import FeaturesStep
from thaw.tasks.training.stage_facts import StageFacts
from thaw.tasks.training.step import TrainStep, request_digest, weights_digest

Start = dict[str, Any]  # fields of a ClassifierStep: its model, and where that has its weights from

_FIRST = {None: "random weights", "imagenet": "ImageNet weights"}


def ask_for_stage(
    name: str, recipe: Recipe, records: ArtifactRef, features: FeaturesStep | None = None, **start: Any
) -> TrainStep:
    """Ask for a stage that starts from a trained one, or as `start_of` says."""
    without_weights = recipe.model.model_copy(update={"weights": None})  # where stage one's came from is nothing to two
    champion = recipe.model.champion if start.get("champion") else None
    return TrainStep(
        name=name,
        records=records,
        stage=getattr(recipe.resolved, name),
        seed=recipe.seed,
        deterministic=recipe.deterministic,
        precision=recipe.precision,
        devices=recipe.devices,
        features_key=None if features is None else features.key,
        shrink=1 if champion is None else champion.shrink,
        perturb=0 if champion is None else champion.perturb,
        **{"model": without_weights} | start,
    )


def start_of(recipe: Recipe, home: Home, records: ArtifactRef) -> Start:
    """Choose what the first stage starts from.

    Raises:
        RecipeError: A weights file cannot be read.
        PublishError: The champion is missing or damaged.
    """
    if recipe.model.champion is None:
        return _first(recipe, home)
    found = home.registry.champion(recipe.name)
    if found is None:
        return _first(recipe, home, start_note=f"{recipe.name} has no champion yet")
    champion = read_in_place(found.path)
    if (own := _own_start(champion, recipe, home, records)) is not None:
        return own
    stage = champion.model.weights
    if stage is None:
        return _first(recipe, home, start_warning=f"{champion.id}, the champion, does not say which weights it has")
    if problem := _why_not(recipe, home, stage) or _what_it_gives_away(found.path, home.store.folder(records)):
        return _first(recipe, home, start_warning=f"{champion.id}, the champion, {problem}")
    return _from_champion(recipe, stage, champion.id)


def start_of_trained(recipe: Recipe, home: Home, stage_one: ArtifactRef) -> Start:
    """Say what a first stage that is there started from, whichever release is the champion by now."""
    stage = _started_from(recipe, home, stage_one)
    return _first(recipe, home) if stage is None else _from_champion(recipe, stage, None)


def start_of_features(features: FeaturesStep) -> Start:
    """Say what the stage starts from whose features these are."""
    names = ("model", "weights_sha256", "champion", "start_note", "start_warning")
    return {name: getattr(features, name) for name in names}


def started_from(recipe: Recipe, home: Home, stage_one: ArtifactRef) -> str | None:
    """Name the release that a first stage started from; None where it started from none, or that is gone.

    A release that was made from the same start says it best: so a run that is repeated says the same.
    """
    stage = _started_from(recipe, home, stage_one)
    if stage is None:
        return None
    releases = _releases(home.registry, recipe.name)
    known = [each.started_from for each in releases if each.started_from and _champion_of(each) == stage]
    return next(iter([*known, *(each.id for each in releases if each.model.weights == stage)]), None)


def _first(recipe: Recipe, home: Home, **why: str) -> Start:
    model = recipe.model.without_champion()
    words = f"stage_one starts from {_FIRST.get(model.first_weights, 'the weights file')}: "
    notes = {name: f"{words}{reason}." for name, reason in why.items()}
    return {"model": model, "weights_sha256": weights_digest(model, home.digests)} | notes


def _from_champion(recipe: Recipe, stage: str, release: str | None) -> Start:
    model = recipe.model.model_copy(update={"weights": None})
    words = None if release is None else f"stage_one starts from the weights of {release}."
    return {"model": model, "champion": stage, "start_note": words}


def _own_start(champion: Release, recipe: Recipe, home: Home, records: ArtifactRef) -> Start | None:
    """Say what the champion started from, if the same was asked of its first stage; None if not, or if that is gone."""
    stage = _champion_of(champion)
    with suppress(RecipeError):  # a weights file that is gone asks for nothing
        start = _first(recipe, home) if stage is None else _from_champion(recipe, stage, champion.started_from)
        asked = ask_for_stage("stage_one", recipe, records, **start)
        trained = champion.made_from.get("stage_one", {}).get("digest")
        if request_digest(asked.key_document) == champion.stage_one_request and (
            stage is None or _is_whole(home, stage) or _is_whole(home, trained)
        ):
            return start
    return None


def _why_not(recipe: Recipe, home: Home, stage: str) -> str | None:
    if not _is_whole(home, stage):
        return "has lost its weights: artifacts/stage does not have them whole"
    backbone = home.store.facts(_ref(stage), StageFacts).backbone
    return None if backbone == recipe.model.backbone else f"is of another backbone, {backbone}"


def _what_it_gives_away(release: Path, records: Path) -> str | None:
    """Say that a release has learned from what is tested now, by which the test would say too much; None if not."""
    # These import numpy and pyarrow, for which few plans have to wait.
    from thaw.tasks.records.index import IDS, read_table
    from thaw.tasks.releases.learned_from import LEARNED_FROM_NAME, prefix, read_learned_from

    if not (release / LEARNED_FROM_NAME).exists():
        return "does not say which images it has learned from"
    verify_file(release, LEARNED_FROM_NAME, read_checksums(release))
    learned = read_learned_from(release)
    ids, size = read_table(records, "test")["id"].tobytes(), IDS.itemsize
    tested = sum(prefix(ids[start : start + size].hex()) in learned for start in range(0, len(ids), size))
    remedy = "set dataset.seed, so that an image stays in its split"
    return f"has learned from {tested:,} of the images that are tested now ({remedy})" if tested else None


def _is_whole(home: Home, stage: str | None) -> bool:
    with suppress(ArtifactError):
        return stage is not None and home.store.verified(_ref(stage)).exists()
    return False


def _ref(stage: str) -> ArtifactRef:
    return ArtifactRef(kind=TrainStep.kind, digest=stage)


def _started_from(recipe: Recipe, home: Home, stage_one: ArtifactRef) -> str | None:
    if recipe.model.champion is None:
        return None
    stage: str | None = read_manifest(home.store.folder(stage_one)).made_from["depends_on"].get("champion")
    return stage


def _champion_of(release: Release) -> str | None:
    return release.made_from.get("champion", {}).get("digest")


def _releases(registry: Registry, recipe: str) -> list[Release]:
    releases = []
    for name in registry.ids():
        if recipe_of(name) == recipe:
            with suppress(PublishError):  # what is damaged says nothing, and `thaw releases list` warns of it
                releases.append(read_in_place(registry.releases / name))
    return releases
