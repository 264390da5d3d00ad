"""What an artifact's folder holds: every file with its size and SHA-256, and the step it was made by."""

import hashlib
import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from thaw.pipeline_config.errors import ArtifactError
from thaw.tasks.artifacts.document import Document
from thaw.tasks.artifacts.file_digests import FileDigests
from thaw.tasks.artifacts.refusals import reading

MANIFEST_NAME = "manifest.json"
REMEDY = "Run again to rebuild it."


class ArtifactRef(BaseModel):
    """The name of an artifact: all that steps pass to each other."""

    model_config = ConfigDict(frozen=True)

    kind: str  # for example "records"
    digest: str  # SHA-256 over the kind and the names, sizes and digests of its files, in hexadecimal


class FileEntry(BaseModel):
    """One file of an artifact."""

    model_config = ConfigDict(frozen=True)

    bytes: int
    sha256: str


class Manifest(Document):
    """The contents of `manifest.json`."""

    kind: str
    files: dict[str, FileEntry] = Field(description="by path relative to the folder, with forward slashes")
    made_from: dict[str, Any] = Field(description="the document of the key that it was built under")
    facts: dict[str, Any] = Field(description="what the work said of its result")

    @property
    def checksum(self) -> str:
        """Digest of what the artifact's name does not cover, so that damage to it is noticed."""
        return digest_of({"made_from": self.made_from, "facts": self.facts})

    def encode(self) -> bytes:
        """Write it as JSON, with its checksum."""
        return json.dumps(self.model_dump() | {"checksum": self.checksum}, indent=1).encode()

    @property
    def ref(self) -> ArtifactRef:
        """The artifact's name, which follows from its kind and its files alone."""
        return ArtifactRef(kind=self.kind, digest=digest_of(self.model_dump(include={"kind", "files"})))


def digest_of(document: Any) -> str:
    """Digest a JSON document, whatever the order of its keys: SHA-256 of its canonical form, in hexadecimal.

    Raises:
        TypeError: It holds something that JSON does not have.
        ValueError: It holds a number that is not finite.
    """
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """Digest a file without reading it whole into memory: SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def list_files(folder: Path) -> dict[str, FileEntry]:
    """List every file below an artifact's folder, except its manifest, in the order of their paths."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / MANIFEST_NAME)
    return {
        path.relative_to(folder).as_posix(): FileEntry(bytes=path.stat().st_size, sha256=file_sha256(path))
        for path in paths
    }


def read_manifest(folder: Path) -> Manifest:
    """Read an artifact's manifest, as it stands; its files are not looked at.

    Raises:
        ArtifactError: The manifest is missing or damaged.
        UnreadableError: It cannot be read now.
    """
    manifest = _parse_manifest(folder / MANIFEST_NAME)
    if isinstance(manifest, str):
        raise ArtifactError(f"{manifest}. {REMEDY}")
    return manifest


def find_damage(folder: Path, ref: ArtifactRef, digests: FileDigests) -> str | None:
    """Compare an artifact's folder with its name and its manifest: names, sizes and content of all files.

    Returns what is missing, unexpected, or not what it was, with the file's name; None for a whole artifact.

    Raises:
        UnreadableError: A file cannot be read now, which is no damage.
    """
    path = folder / MANIFEST_NAME
    manifest = _parse_manifest(path)  # always read whole: its checksum and the name that it must give cover all of it
    if isinstance(manifest, str):
        return manifest
    if manifest.ref != ref:
        return f"{path} was altered: it describes another artifact"
    return next((damage for damage in _damages(folder, manifest, digests) if damage is not None), None)


def _parse_manifest(path: Path) -> Manifest | str:
    try:
        with reading(path):
            content = path.read_bytes()
        manifest = Manifest.from_json(content, path)
        if json.loads(content).get("checksum") == manifest.checksum:
            return manifest
    except OSError:
        return f"{path} is missing"
    except ValueError:  # no JSON, not the form, or a number that is not finite
        return f"{path} is damaged: it is not a manifest"
    return f"{path} was altered: its checksum is another"


def _damages(folder: Path, manifest: Manifest, digests: FileDigests) -> Iterator[str | None]:
    paths = [folder / name for name in manifest.files]
    yield from map(_wrong_size, paths, manifest.files.values())
    for path, expected, found in zip(paths, manifest.files.values(), digests.sha256_of(paths), strict=True):
        yield _wrong_content(path, expected, found)
    with reading(folder):
        present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    for name in sorted(present - {*manifest.files, MANIFEST_NAME}):
        yield f"{folder / name} does not belong to the artifact"


def _wrong_size(path: Path, expected: FileEntry) -> str | None:
    try:
        with reading(path):
            status = path.stat()
    except OSError:
        return f"{path} is missing"
    if not stat.S_ISREG(status.st_mode):
        return f"{path} is not a file"
    return None if status.st_size == expected.bytes else f"{path} has {status.st_size} bytes, expected {expected.bytes}"


def _wrong_content(path: Path, expected: FileEntry, found: str | OSError) -> str | None:
    try:
        # What is remembered may be wrong itself, so nothing is condemned without having been read.
        with reading(path):
            if found == expected.sha256 or file_sha256(path) == expected.sha256:
                return None
    except OSError:
        return f"{path} is missing"
    return f"{path} was altered: its SHA-256 is not the recorded one"
