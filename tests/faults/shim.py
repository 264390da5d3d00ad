"""Lets the Nth file operation below a folder fail, or kills the process there, as SQLite tests itself.

Counted are: opening a file for writing, write, sendfile, fsync, rename and replace, link, mkdir, unlink, rmdir,
truncate, chmod and utime, whoever asks Python for them. What a library writes in C, Python does not see;
`limit_file_size` makes the kernel refuse that.

The ways to fail:

- "ENOSPC", "EIO": the Nth operation fails once, with that error. A write that finds no space has written half.
- "full": from the Nth operation on the disk is full; only deleting works.
- "kill": SIGKILL in the Nth operation; a write has written half.
- "power": the same, and what was not synced is lost: such files lose their second half, such renames are undone.

For a process that was forked for one fault: nothing is ever undone.
"""

import builtins
import errno
import fcntl
import io
import os
import resource
import shutil
import signal
import stat
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

WAYS = ("ENOSPC", "EIO", "full", "kill", "power")

_AUDITED = {
    # event: number of the argument that is the path, and of the folder's descriptor that it is relative to
    "os.rename": (1, 3),
    "os.mkdir": (0, 2),
    "os.remove": (0, 1),
    "os.rmdir": (0, 1),
    "os.link": (1, 3),
    "os.symlink": (1, 2),
    "os.truncate": (0, None),
    "os.chmod": (0, 2),
    "os.utime": (0, 3),
}
_WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_WORKS_ON_A_FULL_DISK = ("remove", "rmdir")

Inode = tuple[int, int]
State = tuple[int, int]  # size, mtime in ns


class Faults:
    """Counts file operations, and makes one of them fail.

    Attributes:
        trace: Every operation so far, as "what path", with the path relative to the folder.
    """

    def __init__(self, folder: Path, *, way: str = "ENOSPC", nth: int = 0) -> None:
        """Watch a folder.

        Args:
            folder: Operations below it count.
            way: One of WAYS.
            nth: The operation that fails, from 1; 0 for none.
        """
        self.folder = str(folder)
        self.way, self.nth = way, nth
        self.trace: list[str] = []
        self._lock = threading.Lock()
        self._torn: set[str] = set()
        self._renames: list[tuple[Path, Path, bytes | None]] = []
        self._durable: dict[Inode, State] = {}

    def install(self) -> None:
        """Begin to count, for the rest of this process."""
        if self.way == "power":
            self._durable = {_inode(path): _state(path) for path in self._files()}
        sys.addaudithook(self._on_event)
        real_open, real_sendfile, real_write = io.open, os.sendfile, os.write

        def counting_open(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
            if set(mode) & set("wax+") and self._is_below(_path_of(file)):
                return _open(self, file, mode, *arguments, **options)
            return real_open(file, mode, *arguments, **options)

        def counting_sendfile(to: int, source: int, offset: int | None, count: int) -> int:
            half = os.fstat(source).st_size // 2
            self.operate("sendfile", _path_of(to), lambda: real_sendfile(to, source, offset, half))
            return real_sendfile(to, source, offset, count)

        def counting_write(descriptor: int, content: Any) -> int:
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                half = bytes(content)[: len(content) // 2]
                self.operate("write", _path_of(descriptor), lambda: real_write(descriptor, half))
            return real_write(descriptor, content)

        replacements = [
            (builtins, "open", counting_open),
            (io, "open", counting_open),  # the one that pathlib calls
            (os, "sendfile", counting_sendfile),
            (os, "write", counting_write),
            (os, "fsync", self._fsync),
            (os, "fdatasync", self._fsync),
        ]
        for module, name, function in replacements:
            setattr(module, name, function)

    def operate(self, what: str, path: str, tear: Callable[[], object] | None = None) -> None:
        """Count an operation; fail if it is the one.

        Args:
            what: Its name.
            path: The file or folder.
            tear: Does half of the operation, where it has halves.

        Raises:
            OSError: It is its turn.
        """
        if not self._is_below(path):
            return
        with self._lock:
            self.trace.append(f"{what} {path.removeprefix(self.folder).lstrip('/')}")
            number = len(self.trace)
            if self.nth == 0 or number < self.nth or (number > self.nth and self.way != "full"):
                return
        if self.way in ("kill", "power"):
            if tear is not None:
                tear()
            self._die()
        if self.way == "full" and what in _WORKS_ON_A_FULL_DISK:
            return
        code = errno.EIO if self.way == "EIO" else errno.ENOSPC
        if code == errno.ENOSPC and tear is not None and path not in self._torn:
            self._torn.add(path)
            tear()
        # As from the kernel: what is done with an open file knows no name.
        raise OSError(code, os.strerror(code), *([] if what in ("write", "fsync", "sendfile") else [path]))

    def _on_event(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if isinstance(path, str | bytes | os.PathLike) and flags & _WRITE_FLAGS:
                self.operate("open", _absolute(path, -1))
        elif event in _AUDITED:
            which, base = _AUDITED[event]
            if isinstance(arguments[which], int):
                return
            path = _absolute(arguments[which], -1 if base is None else arguments[base])
            self.operate(event.removeprefix("os."), path)
            if event == "os.rename" and self.way == "power" and self._is_below(path):
                self._note_rename(Path(_absolute(arguments[0], arguments[2])), Path(path))

    def _fsync(self, descriptor: int) -> None:
        # Whether data reach the disk no test can see, so nothing is synced in earnest.
        path = _path_of(descriptor)
        self.operate("fsync", path)
        if self.way == "power":
            self._durable[_inode(Path(path))] = _state(Path(path))
            self._renames = [entry for entry in self._renames if str(entry[1].parent) != path]

    def _note_rename(self, source: Path, destination: Path) -> None:
        # One of a temporary folder's files moves with it; what a folder replaces was empty.
        self._renames.append((source, destination, destination.read_bytes() if destination.is_file() else None))

    def _die(self) -> None:
        if self.way == "power":
            self.nth = 0
            for path in self._files():
                size = path.stat().st_size
                durable = self._durable.get(_inode(path), (0, 0))
                if durable != _state(path):
                    # Of what was appended, half; of what was written over, half of all.
                    kept = durable[0] if durable[0] < size else 0
                    os.truncate(path, kept + (size - kept) // 2)
            for source, destination, replaced in reversed(self._renames):
                if destination.exists():
                    source.parent.mkdir(parents=True, exist_ok=True)
                    destination.rename(source)
                if replaced is not None:
                    destination.write_bytes(replaced)
        os.kill(os.getpid(), signal.SIGKILL)

    def _files(self) -> list[Path]:
        return [path for path in Path(self.folder).rglob("*") if path.is_file()]

    def _is_below(self, path: str) -> bool:
        return path == self.folder or path.startswith(f"{self.folder}/")


class _CountingFile(io.FileIO):
    def __init__(self, faults: Faults, file: Any, mode: str, *, closefd: bool, opener: Any) -> None:
        super().__init__(file, mode, closefd, opener)
        self._faults = faults

    def write(self, content: Any, /) -> int:
        data = bytes(content)
        torn: list[int] = []
        half, write = data[: len(data) // 2], super().write
        try:
            self._faults.operate("write", _path_of(self.fileno()), lambda: torn.append(write(half)))
        except OSError:
            if torn and torn[0] > 0:
                return torn[0]  # as the kernel does: what comes next fails
            raise
        return write(data)


def _open(  # noqa: PLR0917 (as the real one)
    faults: Faults,
    file: Any,
    mode: str,
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    closefd: bool = True,
    opener: Any = None,
) -> Any:
    raw = _CountingFile(faults, file, mode.replace("t", "").replace("b", ""), closefd=closefd, opener=opener)
    if buffering == 0:
        return raw
    buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
    if "b" in mode:
        return buffered
    return io.TextIOWrapper(buffered, encoding, errors, newline, line_buffering=buffering == 1)


def limit_file_size(size: int, *, kill: bool) -> None:
    """Let the kernel refuse whatever would make a file larger, for the rest of this process.

    Args:
        size: In bytes.
        kill: Whether it kills the process there; else the write fails with EFBIG.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL if kill else signal.SIG_IGN)


def copy_home(source: Path, destination: Path) -> None:
    """Copy a home folder, in the place of what is there.

    Args:
        source: A home folder.
        destination: Where to.
    """
    shutil.rmtree(destination, ignore_errors=True)
    shutil.copytree(source, destination)


def _absolute(path: Any, folder: Any) -> str:
    base = _path_of(folder) if isinstance(folder, int) and folder >= 0 else ""
    return str(Path.cwd() / base / os.fsdecode(path))


def _path_of(file: Any) -> str:
    if not isinstance(file, int):
        return _absolute(file, -1) if isinstance(file, str | bytes | os.PathLike) else ""
    if hasattr(fcntl, "F_GETPATH"):  # macOS
        return fcntl.fcntl(file, fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0").decode()
    return str(Path(f"/proc/self/fd/{file}").readlink())


def _inode(path: Path) -> Inode:
    found = path.stat()
    return found.st_dev, found.st_ino


def _state(path: Path) -> State:
    found = path.stat()
    return found.st_size, found.st_mtime_ns
