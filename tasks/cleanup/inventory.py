"""What there is in a home folder, and what refers to what."""

import contextlib
import functools
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thaw.pipeline_config.errors import ArtifactError, PublishError
from thaw.tasks.artifacts.age import disk_usage
from thaw.tasks.artifacts.entries import entries
from thaw.tasks.artifacts.manifest import ArtifactRef, read_manifest
from thaw.tasks.artifacts.refusals import reading
from thaw.tasks.artifacts.store import KeyRecord
from thaw.tasks.releases.folders import RELEASE_KIND
from thaw.tasks.releases.release import read_release
from thaw.tasks.runs import RunRecord, read_run_records


@dataclass(frozen=True)
class KeyFile:
    """A file that leads from a key to an artifact."""

    path: Path
    ref: ArtifactRef | None  # None where the file is damaged
    refers_to: frozenset[ArtifactRef]  # what stands in the key's document
    modified: float  # when the artifact was last built or found under this key

    @property
    def key(self) -> str:
        """The key."""
        return self.path.stem


@dataclass(frozen=True)
class Artifact:
    """An artifact of the store."""

    folder: Path
    modified: float  # when it was last built or found
    refers_to: frozenset[ArtifactRef] | None  # what it was made from; None where that cannot be read
    release: str | None  # the one that was copied from it; None for other kinds, and where that cannot be read


@dataclass(frozen=True)
class Inventory:
    """What is in a home folder."""

    home: Path
    keys: list[KeyFile]
    artifacts: dict[ArtifactRef, Artifact]
    runs: list[RunRecord]

    @functools.cached_property
    def by_key(self) -> dict[str, ArtifactRef]:
        """The artifact that each key leads to, if it is there."""
        return {record.key: record.ref for record in self.keys if record.ref is not None}

    @functools.cached_property
    def by_release(self) -> dict[str, set[ArtifactRef]]:
        """The release artifacts of each release's id."""
        found: dict[str, set[ArtifactRef]] = defaultdict(set)
        for ref, artifact in self.artifacts.items():
            if artifact.release is not None:
                found[artifact.release].add(ref)
        return found


def take_inventory(home: Path) -> Inventory:
    """Look at all that a home folder holds. Nothing is changed, and nothing damaged is an error.

    Raises:
        UnreadableError: A file or a folder cannot be read now; it might refer to anything.
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
    return Inventory(home, keys, artifacts, read_run_records(home))


def references_in(document: Any) -> Iterator[ArtifactRef]:
    """Find what has a kind and a digest in a JSON document, at any depth, whether or not there is such an artifact."""
    match document:
        case {"kind": str(kind), "digest": str(digest)}:
            yield ArtifactRef(kind=kind, digest=digest)
    children = list(document.values()) if isinstance(document, dict) else document
    if isinstance(children, list):
        for child in children:
            yield from references_in(child)


def _read_key(path: Path) -> KeyFile:
    modified = disk_usage(path).modified
    try:
        with reading(path):
            content = KeyRecord.from_json(path.read_bytes(), path)
    except (OSError, ValueError):  # pydantic's and json's errors are ValueErrors
        return KeyFile(path, None, frozenset(), modified)
    return KeyFile(path, content.ref, frozenset(references_in(content.document)), modified)


def _read_artifact(ref: ArtifactRef, folder: Path, leading: list[KeyFile]) -> Artifact:
    modified = max([disk_usage(folder).modified, *(record.modified for record in leading)])
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
    return Artifact(folder, modified, refers_to, _release_of(ref, folder))


def _release_of(ref: ArtifactRef, folder: Path) -> str | None:
    with contextlib.suppress(PublishError):
        return read_release(folder).id if ref.kind == RELEASE_KIND else None
    return None
