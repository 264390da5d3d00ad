"""The lock that says that a home folder is in use: runs share it, and cleaning up needs it alone. No Prefect.

A run that finds an artifact in the store holds no lock on it, but reads it until its end. So a run holds this lock for
its whole length. The kernel frees it when its holder dies, and child processes do not inherit it.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from thaw.pipeline_config.errors import HomeInUseError
from thaw.tasks.artifacts.refusals import writing

_LOCK = Path("locks", "in-use.lock")


def home_in_use(home: Path) -> AbstractContextManager[None]:
    """Say that the home folder is in use. Any number of runs may; where it is being cleaned up, this waits.

    Raises:
        ArtifactError: The home folder cannot be written.
    """
    return _locked(home, fcntl.LOCK_SH)


def home_at_rest(home: Path) -> AbstractContextManager[None]:
    """Have the home folder to oneself: no run is going on in it, and none begins.

    Raises:
        HomeInUseError: A run is going on.
        ArtifactError: The home folder cannot be written.
    """
    return _locked(home, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextlib.contextmanager
def _locked(home: Path, operation: int) -> Iterator[None]:
    path = home / _LOCK
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDONLY | os.O_CREAT, 0o666)
    try:
        with writing(path):
            try:
                fcntl.flock(descriptor, operation)
            except BlockingIOError as error:
                message = f"A run is going on in the home folder {home}; try again when it has ended."
                raise HomeInUseError(message) from error
        yield
    finally:
        os.close(descriptor)  # which frees the lock
