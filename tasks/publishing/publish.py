"""From a release artifact to a release, and to the champion if it is better. In the flow's process, no TensorFlow."""

from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.evaluation.verdict import decide
from thaw.tasks.home import Home
from thaw.tasks.releases.folders import install
from thaw.tasks.releases.registry import Registry
from thaw.tasks.releases.release import Release, ReleaseInfo, read_release, read_verdict
from thaw.tasks.releases.verdict import Opponent, Verdict


def publish(home: Home, ref: ArtifactRef) -> ReleaseInfo:
    """Put a release into `releases/`, and make it its recipe's champion if its verdict says so.

    Doing it again changes nothing: a whole folder is kept, a damaged one is rebuilt, and a release that was the
    champion once does not become it again, because whatever replaced it did so on purpose.

    Args:
        home: The home folder.
        ref: A release artifact.

    Returns:
        The release.

    Raises:
        ArtifactError: The artifact is damaged.
        PublishError: The home folder cannot be written. The champion is as it was, unless the message says otherwise.
    """
    artifact = home.store.verified(ref)
    release, verdict = read_release(artifact), read_verdict(artifact)
    registry = home.registry
    with registry.locked():
        install(home.path, artifact, release.id)
        if not registry.was_champion(release.id):
            verdict = _verdict_now(registry, release, verdict)
            if verdict.verdict != "not better":
                registry.make_champion("publish", registry.get(release.id), verdict.reason)
    return registry.get(release.id)


def find_opponent(home: Home, recipe: str, evaluation: ArtifactRef) -> Opponent | None:
    """Find what a new model is to be compared with: the recipe's champion; None for the first model of its recipe.

    If the champion was made from this very evaluation, the answer is what the champion was compared with, so that a run
    that is repeated asks for the same verdict.

    Raises:
        PublishError: The champion is missing or damaged.
    """
    champion = home.registry.champion(recipe)
    if champion is None:
        return None
    if champion.evaluation == evaluation.digest:
        return read_verdict(champion.path).champion
    return champion.as_opponent()


def _verdict_now(registry: Registry, release: Release, verdict: Verdict) -> Verdict:
    # Between the verdict and now another run may have published, or someone may have promoted or rolled back.
    champion = registry.champion(release.recipe)
    if champion is None or champion.id == release.compared_with or champion.evaluation == release.evaluation:
        return verdict
    return decide(release.test, champion.as_opponent())
