"""`SHA256SUMS`: the signature under a release, in the form that `sha256sum -c` reads. No TensorFlow."""

from pathlib import Path, PurePosixPath

from thaw.pipeline_config.errors import PublishError
from thaw.tasks.artifacts.manifest import file_sha256
from thaw.tasks.artifacts.refusals import reading, refusals

CHECKSUMS_NAME = "SHA256SUMS"

_HEX_DIGITS = 64
_REMEDY = "Run the recipe again to rebuild the release, or use another one."


def write_checksums(folder: Path) -> None:
    """Sign off a folder in which every other file is final."""
    lines = [f"{file_sha256(folder / name)}  {name}\n" for name in _files(folder)]
    (folder / CHECKSUMS_NAME).write_text("".join(lines), encoding="utf-8")


def read_checksums(folder: Path) -> dict[str, str]:
    """Read a folder's signature: SHA-256 by relative path, with forward slashes.

    Raises:
        PublishError: The file is missing or damaged.
        UnreadableError: It cannot be read now, which is no damage; so for all that follow.
    """
    path = folder / CHECKSUMS_NAME
    try:
        with refusals(path, "read", _REMEDY, PublishError), reading(path):
            lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise PublishError(f"{path} cannot be read: {error}. {_REMEDY}") from error
    sums: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        digest, separator, name = line.partition("  ")
        if not separator or len(digest) != _HEX_DIGITS or not _stays_inside(name):
            raise PublishError(f"{path} is damaged: line {number} is not a SHA-256 and a file name. {_REMEDY}")
        sums[name] = digest
    if not sums:
        raise PublishError(f"{path} is damaged: it is empty. {_REMEDY}")
    return sums


def verify_checksums(folder: Path) -> None:
    """Compare every file of a release with its signature.

    Hidden files are passed over, because file managers leave such behind wherever one looks.

    Raises:
        PublishError: A file is missing, altered or not part of the release; the message names it.
    """
    sums = read_checksums(folder)
    for name in sums:
        verify_file(folder, name, sums)
    unexpected = [name for name in _files(folder) if name not in sums]
    if unexpected:
        raise PublishError(f"{folder / unexpected[0]} does not belong to the release. Move it elsewhere.")


def verify_file(folder: Path, name: str, sums: dict[str, str]) -> None:
    """Compare one file of a release, named by its relative path, with its signature.

    Raises:
        PublishError: The file is missing, unsigned or altered.
    """
    path = folder / name
    if name not in sums:
        raise PublishError(f"{path} is not listed in {CHECKSUMS_NAME}. {_REMEDY}")
    with refusals(path, "read", _REMEDY, PublishError), reading(path):
        digest = file_sha256(path)
    if digest != sums[name]:
        raise PublishError(f"{path} was altered: its SHA-256 is not the one in {CHECKSUMS_NAME}. {_REMEDY}")


def _files(folder: Path) -> list[str]:
    with reading(folder):
        paths = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    names = (path.as_posix() for path in paths if not any(part.startswith(".") for part in path.parts))
    return sorted(name for name in names if name != CHECKSUMS_NAME)


def _stays_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(name) and not path.is_absolute() and ".." not in path.parts
