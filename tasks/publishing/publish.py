"""From a release artifact to a release, and to the champion as its verdict says. In the flow, no TensorFlow."""

from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.evaluation.verdict import decide
from thaw.tasks.home import Home
from thaw.tasks.releases.folders import install
from thaw.tasks.releases.registry import Registry
from thaw.tasks.releases.release import ReleaseInfo, read_release, read_verdict
from thaw.tasks.releases.verdict import ChampionMetrics


def publish(home: Home, ref: ArtifactRef) -> ReleaseInfo:
    """Put a release into `releases/`, and make it its recipe's champion if its verdict says so.

    Doing it again changes nothing: a whole folder is kept, a damaged one is rebuilt, and a model that was the champion
    once does not become it again, because whatever replaced it did so on purpose. The champion's own model with other
    files, such as a mended model card, takes the champion's place: the latest run's files are in use.

    Raises:
        ArtifactError: The artifact is damaged.
        PublishError: The home folder cannot be written. The champion is as it was, unless the message says otherwise.
    """
    artifact = home.store.verified(ref)
    release = read_release(artifact).id
    registry = home.registry
    with registry.locked():
        install(home.path, artifact, release)
        info = registry.get(release)
        reason = _why_champion(registry, info)
        if reason is not None:
            registry.make_champion("publish", info, reason)
    return registry.get(release)


def champion_to_beat(home: Home, recipe: str, evaluation: ArtifactRef) -> ChampionMetrics | None:
    """Find what a new model is to be compared with: the recipe's champion; None for the first model of its recipe.

    If the champion was made from this very evaluation, it is what the champion was compared with, so that a run that is
    repeated asks for the same verdict.

    Raises:
        PublishError: The champion is missing or damaged.
    """
    champion = home.registry.champion(recipe)
    if champion is None:
        return None
    if champion.evaluation == evaluation.digest:
        return read_verdict(champion.path).champion
    return champion.as_champion()


def _why_champion(registry: Registry, release: ReleaseInfo) -> str | None:
    standing = registry.standing(release)
    if standing == "settled":
        return None
    champion = registry.champion(release.recipe)
    if standing == "written anew" and champion is not None:
        return f"The same model as {champion.id}, written anew."
    verdict = read_verdict(release.path)
    # Between the verdict and now another run may have published, or someone may have promoted or rolled back.
    if champion is not None and champion.id != release.compared_with:
        verdict = decide(release, champion.as_champion())
    return None if verdict.verdict == "not better" else verdict.reason
