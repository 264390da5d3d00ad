"""What must stay in a home folder: champions, the last releases, recent work, and all that they refer to."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from thaw.pipeline_config.errors import PublishError
from thaw.tasks.artifacts.age import disk_usage
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.cleanup.inventory import Inventory
from thaw.tasks.feature_drift.step import FeatureDriftStep
from thaw.tasks.preflight.step import PreflightStep
from thaw.tasks.releases.registry import Registry
from thaw.tasks.releases.release import read_in_place, recipe_of
from thaw.tasks.runs import RunRecord
from thaw.tasks.training.features.step import FEATURES_KIND

_FOUND = (PreflightStep.kind, FeatureDriftStep.kind)


@dataclass(frozen=True)
class Limits:
    """What is asked to stay."""

    keep_releases: int  # how many of each recipe's last ones
    young_after: float  # what was used later than this stays: seconds since 1970; a time in the future is later


@dataclass
class Kept:
    """What stays."""

    releases: set[str] = field(default_factory=set)
    runs: set[Path] = field(default_factory=set)
    artifacts: set[ArtifactRef] = field(default_factory=set)  # with all that they were made from
    warnings: list[str] = field(default_factory=list)  # why more stays: what is damaged might refer to it


def find_kept(inventory: Inventory, registry: Registry, limits: Limits) -> Kept:
    """Find what must stay.

    Raises:
        PublishError: It cannot be said which release is a champion.
    """
    return _Search(inventory, registry, limits).run()


class _Search:
    """Goes from what is asked for to all that it refers to."""

    def __init__(self, inventory: Inventory, registry: Registry, limits: Limits) -> None:
        self._inventory, self._registry, self._limits = inventory, registry, limits
        self._by_digest = {ref.digest: ref for ref in inventory.artifacts}
        self._keep_all_artifacts = False
        self._kept = Kept()
        self._misnamed = registry.misnamed()

    def run(self) -> Kept:
        artifacts = self._inventory.artifacts
        young = {ref for ref, artifact in artifacts.items() if self._is_young(artifact.modified)}
        self._kept.releases = self._releases(young)
        self._kept.runs = {run.path for run in self._inventory.runs if self._stays(run)}
        roots = set(young)
        for run in self._inventory.runs:
            if run.path in self._kept.runs:
                roots |= self._of_run(run)
        for release in sorted(self._kept.releases):
            roots |= self._of_release(release)
        for name, release in self._misnamed.items():
            self._kept.releases.add(name)
            folder = self._registry.releases / name
            self._kept.warnings.append(f"{folder} holds {release} under another name: it stays.")
        # Features are large, and whatever was made from them stands by itself: only their age keeps them.
        self._follow({ref for ref in roots if ref.kind != FEATURES_KIND or ref in young})
        # What was found of kept images is small, and with it a run knows that there is nothing to do.
        self._kept.artifacts |= {
            ref
            for ref, artifact in artifacts.items()
            if ref.kind in _FOUND and not self._kept.artifacts.isdisjoint(artifact.refers_to or ())
        }
        if self._keep_all_artifacts:
            self._kept.artifacts = set(artifacts)
        return self._kept

    def _named(self, digests: Iterable[str]) -> set[ArtifactRef]:
        return {self._by_digest[digest] for digest in digests if digest in self._by_digest}

    def _is_young(self, modified: float) -> bool:
        return modified > self._limits.young_after

    def _releases(self, young: set[ArtifactRef]) -> set[str]:
        kept = self._registry.needed() | self._last_of_each_recipe()
        kept |= {run.release for run in self._inventory.runs if run.release and self._is_young(run.modified)}
        kept |= {release for release, artifacts in self._inventory.by_release.items() if artifacts & young}
        folders = (self._registry.releases / release for release in self._registry.ids())
        return kept | {folder.name for folder in folders if self._is_young(disk_usage(folder).modified)}

    def _last_of_each_recipe(self) -> set[str]:
        # No clock decides which were made last; those of which no run is remembered count as the first.
        sequences: dict[str, int] = defaultdict(int)
        for run in self._inventory.runs:
            if run.content is not None:
                release = run.content.release.id
                sequences[release] = max(sequences[release], run.content.sequence)
        by_recipe: dict[str | None, list[str]] = defaultdict(list)
        for release in sorted(self._registry.ids(), key=lambda release: (sequences[release], release)):
            if release not in self._misnamed:
                by_recipe[recipe_of(release)].append(release)
        count = self._limits.keep_releases
        return {release for releases in by_recipe.values() for release in (releases[-count:] if count else [])}

    def _stays(self, run: RunRecord) -> bool:
        return self._is_young(run.modified) or run.release in self._kept.releases

    def _of_run(self, run: RunRecord) -> set[ArtifactRef]:
        last = self._inventory.by_key.get(run.key)
        found = set() if last is None else {last}
        if run.content is not None:
            return found | self._named(task.digest for task in run.content.tasks)
        if last is None:
            self._keep_all(f"{run.path} is damaged")
        return found

    def _of_release(self, release: str) -> set[ArtifactRef]:
        artifacts = self._inventory.by_release.get(release, set())
        folder = self._registry.releases / release
        if release in self._misnamed:
            return artifacts
        try:
            described = read_in_place(folder)
        except PublishError:
            # Its artifact, or the run that made it, says the same.
            if folder.exists() and not artifacts and not any(run.release == release for run in self._inventory.runs):
                self._keep_all(f"{folder} is damaged")
            return artifacts
        digests = (source.get("digest", "") for source in described.made_from.values())
        return artifacts | self._named([described.evaluation, *digests])

    def _follow(self, roots: set[ArtifactRef]) -> None:
        pending = [ref for ref in roots if ref in self._inventory.artifacts]
        while pending:
            ref = pending.pop()
            if ref in self._kept.artifacts:
                continue
            self._kept.artifacts.add(ref)
            artifact = self._inventory.artifacts[ref]
            if artifact.refers_to is None:
                self._keep_all(f"{artifact.folder} is damaged")
                continue
            pending += [each for each in artifact.refers_to if each in self._inventory.artifacts]

    def _keep_all(self, cause: str) -> None:
        self._keep_all_artifacts = True
        self._kept.warnings.append(
            f"{cause}, so it is not known what it was made from: no artifact is removed. "
            "Run its recipe again, which rebuilds it, or remove it by hand."
        )
