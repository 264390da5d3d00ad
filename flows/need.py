"""Whether a run has to train, once it is known what became of the images. No Prefect, no TensorFlow."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from thaw.pipeline_config.errors import PublishError, RecipeError
from thaw.pipeline_config.loading import parse_recipe
from thaw.pipeline_config.retrain_schema import MinNewImages
from thaw.pipeline_config.schema import Recipe
from thaw.pipeline_config.yaml_dialect import read_yaml
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.home import Home
from thaw.tasks.publishing.portable_recipe import portable_recipe
from thaw.tasks.releases.checksums import read_checksums, verify_file
from thaw.tasks.releases.preflight import Changes, FeatureDriftFacts, PreflightFacts
from thaw.tasks.releases.release import RESOLVED_RECIPE_FILE_NAME, ReleaseInfo, read_in_place, recipe_of


def learned_from(release: ReleaseInfo, dataset: ArtifactRef) -> bool:
    """Say whether a release was made from this very dataset."""
    return read_in_place(release.path).model.dataset == dataset.digest


def may_see_no_need(recipe: Recipe) -> bool:
    """Say whether a look at the images might find that there is no need to train."""
    return recipe.retrain.when != "always"


def may_see_no_need_by_features(recipe: Recipe) -> bool:
    """Say whether a look at their features might."""
    return recipe.retrain.when == "drifted"


def why_not(
    recipe: Recipe,
    home: Home,
    ingest: ArtifactRef,
    preflight: ArtifactRef,
    feature_drift: ArtifactRef | None = None,
    **_: ArtifactRef,
) -> list[str]:
    """Say why there is no need to train, one line each; nothing where there is, or where that is not known.

    There always is where the recipe has no champion, or no release was made with its settings yet. Where the recipe
    asks for a comparison of features, it is not known whether anything drifted before that is made.
    """
    champion = None if recipe.retrain.when == "always" else home.registry.champion(recipe.name)
    if champion is None or not _was_tried(recipe, home):
        return []
    if learned_from(champion, ingest):
        return [f"{champion.id} has learned from these very images."]
    facts = home.store.facts(preflight, PreflightFacts)
    if feature_drift is not None:
        facts = home.store.facts(feature_drift, FeatureDriftFacts).beside(facts)
    if facts.changes is None or facts.champion != champion.id:
        return []
    changed = f"The images since {champion.id}: {facts.changes.sentence}."
    if facts.changes.is_none:
        return [changed]
    is_awaited = recipe.retrain.features and feature_drift is None
    reason = _why_not_worth_it(recipe, facts, facts.changes, is_awaited=is_awaited)
    return [changed, reason] if reason else []


def _why_not_worth_it(recipe: Recipe, facts: PreflightFacts, changes: Changes, *, is_awaited: bool) -> str | None:
    when = recipe.retrain.when
    if isinstance(when, MinNewImages) and changes.new < when.min_new_images:
        return f"retrain.when asks for {when.min_new_images:,} images that are new or have another label."
    if when == "drifted" and not changes.unknown:
        if not facts.drift:
            return f"No drift was looked for: {facts.not_tested} (retrain.when)."
        if not is_awaited and not any(each.is_shown for each in facts.drift):
            but = f"; {facts.not_tested}" if facts.not_tested else ""
            return f"No drift is shown{but} (retrain.when)."
    return None


def _was_tried(recipe: Recipe, home: Home) -> bool:
    """Say whether a release of the recipe, the champion or another, was made with these settings."""
    wanted, registry = portable_recipe(recipe, resolved=True), home.registry
    folders = (registry.releases / release for release in registry.ids() if recipe_of(release) == recipe.name)
    return any(_settings_of(folder) == wanted for folder in folders)


def _settings_of(folder: Path) -> dict[str, Any] | None:
    # What cannot be read, or is not a recipe any more, was made with other settings.
    with suppress(PublishError, RecipeError, OSError, ValueError):
        verify_file(folder, RESOLVED_RECIPE_FILE_NAME, read_checksums(folder))
        text = (folder / RESOLVED_RECIPE_FILE_NAME).read_text(encoding="utf-8")
        return portable_recipe(parse_recipe(read_yaml(text)), resolved=True)
    return None
