"""From a release artifact to a release, and to the champion if its verdict says so. In the flow's process."""

from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.home import Home
from thaw.tasks.releases.folders import install
from thaw.tasks.releases.registry import Registry
from thaw.tasks.releases.release import ReleaseInfo, read_release, read_verdict


def publish(home: Home, ref: ArtifactRef, *, ask_first: bool = False) -> ReleaseInfo:
    """Put a release into `releases/`, and make it its recipe's champion if its verdict says so.

    With `ask_first` that is left to `Registry.decide`.

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
        reason = _why_champion(registry, info, ask_first=ask_first)
        if reason is not None:
            registry.make_champion("publish", info, reason)
    return registry.get(release)


def _why_champion(registry: Registry, release: ReleaseInfo, *, ask_first: bool) -> str | None:
    if registry.standing(release) == "written anew":
        return f"The same model as {registry.champions()[release.recipe]}, written anew."
    return read_verdict(release.path).reason if registry.is_due(release) and not ask_first else None
