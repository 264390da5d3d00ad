"""The lock that says that a home folder is in use: runs share it, and cleaning up needs it alone. No Prefect.

A run that finds an artifact in the store holds no lock on it, but reads it until its end. So a run holds this lock for
its whole length. The kernel frees it when its holder dies, and child processes do not inherit it.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from thaw.pipeline_config.errors import HomeInUseError
from thaw.tasks.artifacts.atomic import writing

_LOCK = Path("locks", "in-use.lock")


@contextlib.contextmanager
def home_in_use(home: Path) -> Iterator[None]:
    """Say that the home folder is in use. Any number of runs may; where it is being cleaned up, this waits.

    Args:
        home: The home folder.

    Raises:
        ArtifactError: The home folder cannot be written.
    """
    with _locked(home, fcntl.LOCK_SH):
        yield


@contextlib.contextmanager
def home_at_rest(home: Path) -> Iterator[None]:
    """Have the home folder to oneself: no run is going on in it, and none begins.

    Args:
        home: The home folder.

    Raises:
        HomeInUseError: A run is going on.
        ArtifactError: The home folder cannot be written.
    """
    with _locked(home, fcntl.LOCK_EX | fcntl.LOCK_NB):
        yield


@contextlib.contextmanager
def _locked(home: Path, operation: int) -> Iterator[None]:
    path = home / _LOCK
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDONLY | os.O_CREAT, 0o666)
    try:
        with writing(path):
            _lock(descriptor, operation, home)
        yield
    finally:
        os.close(descriptor)  # which frees the lock


def _lock(descriptor: int, operation: int, home: Path) -> None:
    try:
        fcntl.flock(descriptor, operation)
    except BlockingIOError as error:
        raise HomeInUseError(f"A run is going on in the home folder {home}; try again when it has ended.") from error
