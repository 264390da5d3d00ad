"""What the operating system refuses, as one line that names the file. Standard library only.

That something cannot be read says nothing of its content. So it is an error of its own, `UnreadableError`, which nobody
who judges content catches: only what was read and differs, or is not there, counts as damaged.
"""

import contextlib
import errno
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from thaw.pipeline_config.errors import ArtifactError, ThawError, UnreadableError

# A file that is read and is not there, or is a folder, is missing: that is an answer.
_ANSWERS = (FileNotFoundError, NotADirectoryError, IsADirectoryError)

_REMEDIES = {
    errno.EACCES: "Let this user read it.",
    errno.EPERM: "Let this user read it.",
    errno.EMFILE: "Allow this user more open files (ulimit -n).",
    errno.ENFILE: "Close other programs: this machine has too many open files.",
    errno.ENOMEM: "Close other programs: this machine is out of memory.",
    errno.EIO: "Check the disk. If the file is lost, remove it, and run again.",
}
_RUN_AGAIN = "Run again when the machine is well."

# What keeps from reading any file, and is no property of one; a full disk, where an image is unpacked first.
_OF_THE_MACHINE = {
    *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EIO),
    *(errno.ENOSPC, errno.EDQUOT, errno.EAGAIN, errno.EINTR, errno.EBUSY, errno.ENOLCK, errno.ESTALE, errno.ETIMEDOUT),
}

_FULL = (errno.ENOSPC, errno.EDQUOT)
_MAKE_ROOM = "Make room, for example with thaw gc, and run again."


@contextlib.contextmanager
def reading(path: object) -> Iterator[None]:
    """Report why something that is there cannot be read; that it is not there passes as the OSError that it is.

    Raises:
        UnreadableError: It cannot be read now; nothing is known of its content.
    """
    try:
        yield
    except _ANSWERS:
        raise
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: object, error: OSError) -> UnreadableError:
    """Say that something cannot be read, why, and what may help."""
    remedy = _REMEDIES.get(error.errno or 0, _RUN_AGAIN)
    return UnreadableError(f"{path} cannot be read: {error.strerror or error}. {remedy}")


def is_of_the_machine(error: OSError) -> bool:
    """Say whether an error in reading a file has nothing to do with the file."""
    return error.errno in _OF_THE_MACHINE


def refused(error: OSError) -> str:
    """Write an error of the operating system as one line, wherever it comes from."""
    place = f"{error.filename}: " if error.filename is not None else ""
    remedy = _MAKE_ROOM if error.errno in _FULL else _REMEDIES.get(error.errno or 0, "")
    return f"{place}{error.strerror or error}. {remedy}".rstrip()


def writing(path: Path) -> AbstractContextManager[None]:
    """Report what the operating system refuses as an error that names the file."""
    return refusals(path, "written")


@contextlib.contextmanager
def refusals(path: Path, deed: str, advice: str = "", error_class: type[ThawError] = ArtifactError) -> Iterator[None]:
    """Report what the operating system refuses in the same way; the deed is "read", "written" or "removed"."""
    try:
        yield
    except OSError as error:
        words = [f"{path} cannot be {deed}: {error.strerror or error}.", advice]
        words += [_MAKE_ROOM] if error.errno in _FULL else []
        raise error_class(" ".join(filter(None, words))) from error
