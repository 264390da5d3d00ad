"""What an artifact's folder holds: every file with its size and SHA-256, and the step it was made by."""

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline_config.errors import ArtifactError

MANIFEST_NAME = "manifest.json"


class ArtifactRef(BaseModel):
    """The name of an artifact: all that steps pass to each other.

    Attributes:
        kind: What it is, for example "records".
        digest: SHA-256 over the kind and the names, sizes and digests of its files, in hexadecimal.
    """

    model_config = ConfigDict(frozen=True)

    kind: str
    digest: str


class FileEntry(BaseModel):
    """One file of an artifact.

    Attributes:
        bytes: Size.
        sha256: Digest of the content, in hexadecimal.
    """

    model_config = ConfigDict(frozen=True)

    bytes: int
    sha256: str


class Manifest(BaseModel):
    """The contents of `manifest.json`.

    Attributes:
        kind: What the artifact is.
        files: Entries by path relative to the folder, with forward slashes.
        made_from: The document of the key that it was built under: configuration, inputs, sources, libraries.
        facts: Small results that do not define the content, such as the seconds that the work took.
    """

    model_config = ConfigDict(frozen=True)

    kind: str
    files: dict[str, FileEntry]
    made_from: dict[str, Any]
    facts: dict[str, Any]

    @property
    def ref(self) -> ArtifactRef:
        """The artifact's name, which follows from its kind and its files alone."""
        content = {"kind": self.kind, "files": {name: entry.model_dump() for name, entry in self.files.items()}}
        return ArtifactRef(kind=self.kind, digest=digest_of(content))


def digest_of(document: Any) -> str:
    """Digest a JSON document, whatever the order of its keys.

    Args:
        document: Mappings with string keys, lists, strings, finite numbers, booleans and None.

    Returns:
        SHA-256 of its canonical form, in hexadecimal.

    Raises:
        TypeError: The document holds anything else.
        ValueError: The document holds a number that is not finite.
    """
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """Digest a file without reading it whole into memory.

    Args:
        path: An existing file.

    Returns:
        SHA-256 of its content, in hexadecimal.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def list_files(folder: Path) -> dict[str, FileEntry]:
    """Measure every file below a folder, except its manifest.

    Args:
        folder: An artifact's folder.

    Returns:
        Entries by relative path, in the order of the paths.
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / MANIFEST_NAME)
    return {
        path.relative_to(folder).as_posix(): FileEntry(bytes=path.stat().st_size, sha256=file_sha256(path))
        for path in paths
    }


def read_manifest(folder: Path) -> Manifest:
    """Read an artifact's manifest.

    Args:
        folder: An artifact's folder.

    Returns:
        The manifest, as it stands; its files are not looked at.

    Raises:
        ArtifactError: The manifest is missing or damaged.
    """
    path = folder / MANIFEST_NAME
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror or error}.") from error
    except ValidationError as error:
        raise ArtifactError(f"{path} is damaged: it is not a manifest. Run again to rebuild it.") from error


def check_files(folder: Path, manifest: Manifest) -> None:
    """Compare an artifact's files with its manifest: names, sizes and content.

    Args:
        folder: The artifact's folder.
        manifest: What it should hold.

    Raises:
        ArtifactError: A file is missing, unexpected, or not what it was; the message names the file.
    """
    for name, expected in manifest.files.items():
        _check_file(folder / name, expected)
    unexpected = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    unexpected -= {*manifest.files, MANIFEST_NAME}
    if unexpected:
        raise ArtifactError(f"{folder / min(unexpected)} does not belong to the artifact. Remove it.")


def _check_file(path: Path, expected: FileEntry) -> None:
    if not path.is_file():
        raise ArtifactError(f"{path} is missing. Run again to rebuild it.")
    try:
        size, sha256 = path.stat().st_size, file_sha256(path)
    except OSError as error:  # a bad sector, or no permission
        raise ArtifactError(f"{path} cannot be read: {error.strerror or error}.") from error
    if size != expected.bytes:
        raise ArtifactError(f"{path} has {size} bytes, expected {expected.bytes}. Run again to rebuild it.")
    if sha256 != expected.sha256:
        raise ArtifactError(f"{path} was altered: its SHA-256 is not the recorded one. Run again to rebuild it.")
