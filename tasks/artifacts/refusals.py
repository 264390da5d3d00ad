"""What the operating system refuses, as one line that names the file. Standard library only.

That something cannot be read says nothing of its content. So it is an error of its own, `UnreadableError`, which nobody
who judges content catches: only what was read and differs, or is not there, counts as damaged.
"""

import collections
import contextlib
import errno
import os
import re
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from thaw.pipeline_config.errors import ArtifactError, ThawError, UnreadableError

# A file that is read and is not there, or is a folder, is missing: that is an answer.
_ANSWERS = (FileNotFoundError, NotADirectoryError, IsADirectoryError)

_MAKE_ROOM = "Make room, for example with thaw gc, and run again."
_REMEDIES = {
    errno.EACCES: "Let this user read it.",
    errno.EPERM: "Let this user read it.",
    errno.EMFILE: "Allow this user more open files (ulimit -n).",
    errno.ENFILE: "Close other programs: this machine has too many open files.",
    errno.ENOMEM: "Close other programs: this machine is out of memory.",
    errno.EIO: "Check the disk. If the file is lost, remove it, and run again.",
    errno.ENOSPC: _MAKE_ROOM,
    errno.EDQUOT: _MAKE_ROOM,
    errno.EFBIG: "Allow larger files (ulimit -f), and run again.",
}
_RUN_AGAIN = "Run again when the machine is well."

# What keeps from reading any file, and is no property of one; a full disk, where an image is unpacked first.
_OF_THE_MACHINE = {
    *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EIO),
    *(errno.ENOSPC, errno.EDQUOT, errno.EAGAIN, errno.EINTR, errno.EBUSY, errno.ENOLCK, errno.ESTALE, errno.ETIMEDOUT),
}

_LACK_OF_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_WRITTEN_IN_PART = re.compile(r"\d+ requested and \d+ written")  # of NumPy, which says no more

_opened: collections.deque[str] = collections.deque(maxlen=16)  # for writing; libraries open temporary files, too


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
    return f"{place}{error.strerror or error}. {_REMEDIES.get(error.errno or 0, '')}".rstrip()


def writing(path: Path) -> AbstractContextManager[None]:
    """Report what the operating system refuses as an error that names the file."""
    return refusals(path, "written")


@contextlib.contextmanager
def refusals(path: Path, deed: str, advice: str = "", error_class: type[ThawError] = ArtifactError) -> Iterator[None]:
    """Report what the operating system refuses in the same way; the deed is "read", "written" or "removed"."""
    try:
        yield
    except OSError as error:
        reason, remedy = _lack_of_room(error) or (error.strerror or str(error), "")
        words = [f"{path} cannot be {deed}: {reason}.", advice, remedy]
        raise error_class(" ".join(filter(None, words))) from error


def remember_what_is_opened() -> None:
    """Remember from now on, to the end of this process, which files were opened last for writing."""
    sys.addaudithook(_remember)


def _remember(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and isinstance(arguments[0], str) and arguments[2] & (os.O_WRONLY | os.O_RDWR):
        _opened.append(arguments[0])


def full_disk(error: BaseException, place: Path) -> ArtifactError | None:
    """Say which file lacks room, if that is what an error means, from whatever library it comes.

    The place is the folder that is written to, or a file. Where the library does not name the file, it is the one that
    was opened last there, if that is remembered; whoever writes in C names it.
    """
    lack = next((lack for each in _causes(error) if (lack := _lack_of_room(each)) is not None), None)
    if lack is None:
        return None
    named = next((name for each in _causes(error) if (name := _file_in(each, place)) is not None), None)
    if named is None:
        named = next((path for path in reversed(_opened) if Path(path).is_relative_to(place)), str(place))
    return ArtifactError(f"{named} cannot be written: {'. '.join(lack)}")


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _lack_of_room(error: BaseException) -> tuple[str, str] | None:
    """Say in what words room was lacking, and what may help; None for another error."""
    text = str(error)
    for code in _LACK_OF_ROOM:
        if getattr(error, "errno", None) == code or os.strerror(code) in text:
            return os.strerror(code), _REMEDIES[code]
    if isinstance(error, OSError) and _WRITTEN_IN_PART.fullmatch(text):
        return "only a part of it was", _MAKE_ROOM
    return None


def _file_in(error: BaseException, place: Path) -> str | None:
    if isinstance(error, OSError) and isinstance(error.filename, str):
        return error.filename
    match = re.search(rf"{re.escape(str(place))}/[^\s;,'\"]+", str(error))  # no name that thaw gives has one of those
    return match[0] if match else None
