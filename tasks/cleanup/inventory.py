"""What there is in a home folder, and what refers to what."""

import functools
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from thaw.pipeline_config.errors import ArtifactError, PublishError
from thaw.tasks.artifacts.age import DiskUsage, disk_usage
from thaw.tasks.artifacts.entries import entries
from thaw.tasks.artifacts.manifest import ArtifactRef, read_manifest
from thaw.tasks.artifacts.store import KeyRecord
from thaw.tasks.releases.folders import RELEASE_KIND
from thaw.tasks.releases.release import read_release
from thaw.tasks.runs import RunRecord, read_run_records


@dataclass(frozen=True)
class KeyFile:
    """A file that leads from a key to an artifact.

    Attributes:
        path: The file.
        ref: The artifact; None where the file is damaged.
        refers_to: The artifacts that stand in the key's document.
        modified: When the artifact was last built or found under this key.
    """

    path: Path
    ref: ArtifactRef | None
    refers_to: frozenset[ArtifactRef]
    modified: float

    @property
    def key(self) -> str:
        """The key."""
        return self.path.stem


@dataclass(frozen=True)
class Artifact:
    """An artifact of the store.

    Attributes:
        ref: Its name.
        folder: Where it is.
        bytes: Size of its files.
        modified: When it was last built or found.
        refers_to: What it was made from; None where that cannot be read.
        release: Id of the release that was copied from it; None for other kinds, and where that cannot be read.
    """

    ref: ArtifactRef
    folder: Path
    bytes: int
    modified: float
    refers_to: frozenset[ArtifactRef] | None
    release: str | None


@dataclass(frozen=True)
class Inventory:
    """What is in a home folder.

    Attributes:
        home: The home folder.
        keys: All key records.
        artifacts: All artifacts, by name.
        runs: All remembered runs.
    """

    home: Path
    keys: list[KeyFile]
    artifacts: dict[ArtifactRef, Artifact]
    runs: list[RunRecord]
    _by_digest: dict[str, ArtifactRef] = field(repr=False)

    def named(self, digests: Iterable[str]) -> set[ArtifactRef]:
        """Find artifacts by their digests alone.

        Args:
            digests: Digests of anything.

        Returns:
            Those artifacts that there are.
        """
        return {self._by_digest[digest] for digest in digests if digest in self._by_digest}

    @functools.cached_property
    def by_key(self) -> dict[str, ArtifactRef]:
        """The artifact that each key leads to, if it is there."""
        return {record.key: record.ref for record in self.keys if record.ref is not None}

    @functools.cached_property
    def by_release(self) -> dict[str, set[ArtifactRef]]:
        """The release artifacts of each release's id."""
        found: dict[str, set[ArtifactRef]] = defaultdict(set)
        for artifact in self.artifacts.values():
            if artifact.release is not None:
                found[artifact.release].add(artifact.ref)
        return found


def take_inventory(home: Path) -> Inventory:
    """Look at all that a home folder holds. Nothing is changed, and nothing damaged is an error.

    Args:
        home: The home folder.

    Returns:
        What is there.
    """
    keys = [_read_key(path) for path in entries(home / "keys", "[!.]*.json")]
    leading: dict[ArtifactRef, list[KeyFile]] = defaultdict(list)
    for record in keys:
        if record.ref is not None:
            leading[record.ref].append(record)
    artifacts = {}
    for folder in entries(home / "artifacts", "*/*"):
        ref = ArtifactRef(kind=folder.parent.name, digest=folder.name)
        artifacts[ref] = _read_artifact(ref, folder, leading[ref])
    return Inventory(home, keys, artifacts, read_run_records(home), {ref.digest: ref for ref in artifacts})


def references_in(document: Any) -> Iterator[ArtifactRef]:
    """Find the references in a JSON document, at any depth.

    Args:
        document: Anything that JSON can hold.

    Yields:
        What has a kind and a digest, whether or not there is such an artifact.
    """
    if isinstance(document, dict):
        kind, digest = document.get("kind"), document.get("digest")
        if isinstance(kind, str) and isinstance(digest, str):
            yield ArtifactRef(kind=kind, digest=digest)
    children: Iterable[Any] = document.values() if isinstance(document, dict) else document
    if isinstance(document, dict | list):
        for child in children:
            yield from references_in(child)


def _read_key(path: Path) -> KeyFile:
    modified = disk_usage(path).modified
    try:
        content = KeyRecord.from_json(path.read_bytes(), path)
    except (OSError, ValueError):  # pydantic's and json's errors are ValueErrors
        return KeyFile(path, None, frozenset(), modified)
    return KeyFile(path, content.ref, frozenset(references_in(content.document)), modified)


def _read_artifact(ref: ArtifactRef, folder: Path, leading: list[KeyFile]) -> Artifact:
    measured: DiskUsage = disk_usage(folder)
    modified = max([measured.modified, *(record.modified for record in leading)])
    # A key record repeats what the manifest says of the inputs, and stands in for one that is damaged. Both are taken:
    # a flipped bit in a reference is not seen, because an artifact's digest does not depend on what it was made from.
    known = {reference for record in leading for reference in record.refers_to}
    try:
        manifest = read_manifest(folder)
        readable = manifest.ref == ref
        known.update(references_in(manifest.made_from))
    except ArtifactError:
        readable = False
    refers_to = frozenset(known) if readable or leading else None
    return Artifact(ref, folder, measured.bytes, modified, refers_to, _release_of(ref, folder))


def _release_of(ref: ArtifactRef, folder: Path) -> str | None:
    if ref.kind != RELEASE_KIND:
        return None
    try:
        return read_release(folder).id
    except PublishError:
        return None
