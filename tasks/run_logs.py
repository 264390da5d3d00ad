"""The log of each run: what it said, a JSON document a line, in `<home>/runs/logs/<id of the flow run>`. No Prefect.

A log that has grown large is set aside as `log.1.jsonl`, and what was there before is gone: a run has two files at the
most. Its folder is locked for as long as the run goes on; the kernel frees it when the run's process dies.
"""

import contextlib
import fcntl
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

from thaw.pipeline_config.errors import ArtifactError, RequestError
from thaw.pipeline_config.messages import received
from thaw.tasks.artifacts.age import disk_usage
from thaw.tasks.artifacts.atomic import make_folder
from thaw.tasks.artifacts.refusals import reading
from thaw.tasks.progress import Event, emit, log_line
from thaw.tasks.runs import RUNS_NAME

_NAME, _OLDER_NAME = "log.jsonl", "log.1.jsonl"
_MOST_BYTES = 4_000_000  # of a file: some 15,000 lines
_SECONDS_BETWEEN_LOOKS = 0.3


class RunLog:
    """Writes what a run says, but for its progress: a subscriber of `thaw.tasks.progress`, from any thread."""

    def __init__(self, home: Path, run: str) -> None:
        """Nothing is written yet."""
        self._folder = _folder(home) / run
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._has_failed = False

    def __call__(self, event: Event) -> None:
        """Write a line, or pass over it; of the first that cannot be written there is a warning."""
        if event.kind == "progress":
            return
        try:
            self._write(event)
        except (OSError, ArtifactError) as error:
            if not self._has_failed:
                self._has_failed = True
                emit(Event("", "warning", f"The run goes on, but not all of it is in its log: {error}"))

    def _write(self, event: Event) -> None:
        with self._lock:
            if self._descriptor is None:
                make_folder(self._folder)
                self._descriptor = os.open(self._folder, os.O_RDONLY)
                fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            path = self._folder / _NAME
            with path.open("a", encoding="utf-8") as file:
                file.write(log_line(event) + "\n")
                size = file.tell()
            if size > _MOST_BYTES:
                path.replace(self._folder / _OLDER_NAME)

    def close(self) -> None:
        """Say that the run is over."""
        with self._lock:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None


def log_folders(home: Path) -> list[Path]:
    """List the logs of a home folder, that which was written last as the first.

    Raises:
        UnreadableError: They cannot be listed.
    """
    folder = _folder(home)
    with reading(folder), contextlib.suppress(FileNotFoundError, NotADirectoryError):
        found = [path for path in folder.iterdir() if _is_id(path.name)]
        return sorted(found, key=lambda path: (disk_usage(path).modified, path.name), reverse=True)
    return []


def find_log(home: Path, run: str | None) -> Path:
    """Find the log of a run by its id or the beginning of that; of the last run where none is named.

    Raises:
        RequestError: There is none, or several begin so.
    """
    folders = log_folders(home)
    found = [folder for folder in folders if run is None or folder.name.startswith(run.lower())]
    if not found:
        what = "no log" if run is None else f"no log of a run {received(run)}"
        last = f" The last run is {folders[0].name}." if folders else " A run leaves one: thaw run, or thaw serve."
        raise RequestError(f"There is {what} in {_folder(home)}.{last}")
    if run is not None and len(found) > 1:
        raise RequestError(f"{len(found)} runs have an id that begins with {received(run)}. Give more of it.")
    return found[0]


def read_log(folder: Path, *, follow: bool) -> Iterator[dict[str, Any]]:
    """Go through a log, the oldest line first; to `follow` it is to wait for more until its run has ended.

    A line that was cut short, by a kill or a full disk, is passed over.

    Raises:
        UnreadableError: It cannot be read.
    """
    if (folder / _OLDER_NAME).exists():
        yield from _parsed(_read(folder / _OLDER_NAME, 0))
    inode, offset = None, 0
    while True:
        goes_on = follow and _goes_on(folder)  # asked before the reading: what is written until its end is read
        status = _status(folder / _NAME)
        if inode is not None and (status is None or status.st_ino != inode):  # it was set aside since
            yield from _parsed(_read(folder / _OLDER_NAME, offset))
            inode, offset = None, 0
        if status is not None:
            inode, content = status.st_ino, _read(folder / _NAME, offset)
            whole = content[: content.rfind(b"\n") + 1]
            offset += len(whole)
            yield from _parsed(whole)
        if not goes_on:
            return
        time.sleep(_SECONDS_BETWEEN_LOOKS)


def _folder(home: Path) -> Path:
    return home / RUNS_NAME / "logs"


def _is_id(name: str) -> bool:
    try:
        return str(UUID(name)) == name
    except ValueError:
        return False


def _goes_on(folder: Path) -> bool:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _read(path: Path, offset: int) -> bytes:
    with reading(path), contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        file.seek(offset)
        return file.read()
    return b""


def _parsed(content: bytes) -> Iterator[dict[str, Any]]:
    for line in content.splitlines():
        with contextlib.suppress(ValueError):
            document = json.loads(line)
            if isinstance(document, dict):
                yield document
