"""From a release artifact to a release, and to the champion if it is better. In the flow's process, no TensorFlow."""

from contextlib import nullcontext
from pathlib import Path

from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.artifacts.store import ArtifactStore
from thaw.tasks.evaluation.verdict import decide
from thaw.tasks.releases.folders import install
from thaw.tasks.releases.registry import Registry
from thaw.tasks.releases.release import Release, ReleaseInfo, read_release, read_verdict
from thaw.tasks.releases.verdict import Opponent, Verdict


def publish(home: Path, ref: ArtifactRef) -> ReleaseInfo:
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
    artifact = ArtifactStore(home).open(ref)
    release, verdict = read_release(artifact), read_verdict(artifact)
    registry = Registry(home)
    with registry.locked():
        install(home, artifact, release.id)
        if not registry.was_champion(release.id):
            verdict = _verdict_now(registry, release, verdict)
            if verdict.verdict != "not better":
                registry.make_champion("publish", registry.get(release.id), verdict.reason)
    return registry.get(release.id)


def find_opponent(home: Path, recipe: str, evaluation: ArtifactRef, *, repair: bool = True) -> Opponent | None:
    """Find what a new model is to be compared with: the recipe's champion.

    Args:
        home: The home folder.
        recipe: The recipe's name.
        evaluation: The new model's evaluation. If the champion was made from this very one, the answer is what the
            champion was compared with, so that a run that is repeated asks for the same verdict.
        repair: Whether a damaged champion, or a change that was interrupted, is mended first; else nothing is written.

    Returns:
        The opponent; None for the first model of its recipe.

    Raises:
        PublishError: The champion is missing or damaged, and so is the artifact that it was copied from.
    """
    registry = Registry(home)
    if not registry.releases.exists():
        return None
    with registry.locked() if repair else nullcontext():
        champion = registry.champion(recipe)
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
