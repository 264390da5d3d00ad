"""How a release's folder comes into `releases/`: copied beside, checked, synced, renamed. No TensorFlow.

The files are copied, not linked: a hard link would share a flipped bit with the artifact, which is what a damaged
release is rebuilt from.
"""

import contextlib
import shutil
from pathlib import Path

from thaw.pipeline_config.errors import ArtifactError, PublishError
from thaw.tasks.artifacts.atomic import move_into_place, set_aside
from thaw.tasks.artifacts.manifest import MANIFEST_NAME, ArtifactRef
from thaw.tasks.artifacts.refusals import reading
from thaw.tasks.artifacts.store import ArtifactStore
from thaw.tasks.releases.checksums import CHECKSUMS_NAME, verify_checksums
from thaw.tasks.releases.release import read_in_place, read_release

RELEASES_NAME = "releases"
RELEASE_KIND = "release"

_TEMPORARY_PREFIX = ".tmp-"


def is_visible(folder: Path) -> bool:
    """Say whether a folder, which need not exist, is a release: it is not hidden, and signed off."""
    with reading(folder):
        return not folder.name.startswith(".") and (folder / CHECKSUMS_NAME).is_file()


def install(home: Path, artifact: Path, release: str) -> None:
    """Put a release into its place, unless it is there already and whole. The caller holds the lock.

    `artifact` is the folder of its artifact, checked. A damaged folder of that name, or one that holds another release,
    is kept in `quarantine/releases/`.

    Raises:
        PublishError: The home folder cannot be written. What was there before is still there, or in quarantine.
    """
    destination = home / RELEASES_NAME / release
    if is_visible(destination):
        with contextlib.suppress(PublishError):  # else it is replaced below
            read_in_place(destination)
            verify_checksums(destination)
            return
    temporary = destination.with_name(_TEMPORARY_PREFIX + release)
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        _copy_files(artifact, temporary)
        verify_checksums(temporary)
        if destination.exists():
            set_aside(home, destination)  # not before its successor is whole
        move_into_place(temporary, destination)
    except (OSError, ArtifactError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        words = f"{error.filename or temporary}: {error.strerror or error}." if isinstance(error, OSError) else error
        raise PublishError(f"Release {release} cannot be written: {words} The champion is as it was.") from error


def clear_temporaries(home: Path) -> None:
    """Remove what killed processes left half copied. The caller holds the lock, so nobody uses it."""
    for folder in (home / RELEASES_NAME).glob(f"{_TEMPORARY_PREFIX}*"):
        shutil.rmtree(folder, ignore_errors=True)


def find_artifact(store: ArtifactStore, release: str) -> Path | None:
    """Look for the artifact that a release was copied from: its folder, checked; None if none is there and whole."""
    for folder in sorted((store.home / "artifacts" / RELEASE_KIND).glob("*")):
        # A damaged artifact cannot help; the store sets it aside when it is next asked for.
        with contextlib.suppress(ArtifactError, PublishError):
            if read_release(folder).id == release:
                return store.verified(ArtifactRef(kind=RELEASE_KIND, digest=folder.name))
    return None


def _copy_files(artifact: Path, folder: Path) -> None:
    for path in sorted(artifact.rglob("*")):
        if path.is_file() and path != artifact / MANIFEST_NAME:
            copy = folder / path.relative_to(artifact)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
