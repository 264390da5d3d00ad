"""Which releases a new model is compared with. No TensorFlow."""

from thaw.pipeline_config.publish_schema import Rule
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.releases.registry import Registry
from thaw.tasks.releases.release import read_in_place, read_verdict
from thaw.tasks.releases.verdict import ReleasedModel

Rivals = tuple[ReleasedModel | None, ReleasedModel | None]


def rivals_of(registry: Registry, recipe: str, evaluation: ArtifactRef, rule: Rule) -> Rivals:
    """Find a recipe's champion, and its anchor where the rule asks for it and it is another.

    If the champion was made from this very evaluation, they are what the champion was compared with, so that a run that
    is repeated asks for the same verdict.

    Raises:
        PublishError: One of them is missing or damaged.
    """
    champion = registry.champion(recipe)
    if champion is None:
        return None, None
    if champion.evaluation == evaluation.digest:
        verdict = read_verdict(champion.path)
        return _known(registry, verdict.champion), verdict.anchor
    anchor = registry.anchor(recipe) if rule.uses_anchor else None
    return _model_of(registry, champion.id), _model_of(registry, anchor) if anchor not in (None, champion.id) else None


def _model_of(registry: Registry, release: str) -> ReleasedModel:
    return read_in_place(registry.releases / release).model


def _known(registry: Registry, model: ReleasedModel | None) -> ReleasedModel | None:
    if model is None or model.weights is not None:
        return model
    # An old verdict names a release and no more. Where that is gone, nothing is known of what it answered.
    return _model_of(registry, model.release) if model.release in registry.ids() else None
