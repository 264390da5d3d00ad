"""SHA-256 of files, remembered in the home folder, so that a file that did not change is not read again.

A digest is remembered under the file's path together with its size, its times of change, its inode and its device, and
counts as long as all of them are the same. The time that the kernel sets (ctime) is among them, because a program can
set the other one back after an edit. A file whose times are younger than the coarsest clock of a file system is not
remembered: it may change once more and keep them. Neither is one whose times lie in the future.

The memory makes things quicker and nothing else. Where it is missing, damaged, locked or cannot be written, files are
hashed. Each row carries a checksum, so that a damaged row is a row that is not there.
"""

import contextlib
import errno
import hashlib
import io
import os
import sqlite3
import stat
import struct
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

from thaw.pipeline_config.errors import ArtifactError

MEMORY_NAME = "file-digests.sqlite"

_SETTLED_AFTER_NS = 2_000_000_000  # FAT counts time in steps of two seconds; nothing in use is coarser
_SECONDS_FOR_A_LOCK = 1.0  # the other process writes one short transaction; waiting longer costs more than hashing
_ROWS_PER_QUERY = 1000  # far below SQLite's limit of 32,766 parameters
_FILES_PER_TURN = 64  # handed to a thread at once: for small files the handing over costs as much as the hashing

_CREATE = (
    "CREATE TABLE IF NOT EXISTS files "
    "(path BLOB PRIMARY KEY, identity BLOB NOT NULL, sha256 BLOB NOT NULL, checksum INTEGER NOT NULL) WITHOUT ROWID"
)
_INSERT = "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)"

# What passes by itself, or is the disk's trouble. Every other error of SQLite means that the file is no good.
_NOT_DAMAGE = (
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_NOMEM,
)

_PACK = struct.Struct("<QqqQQ").pack

Answer = TypeVar("Answer")


class _Identity(NamedTuple):
    packed: bytes
    newest: int  # the later of its two times of change, in nanoseconds

    def is_settled(self, now: int) -> bool:
        return self.newest <= now - _SETTLED_AFTER_NS


class FileDigests:
    """Digests of any files, remembered below one home folder. May be used by several threads and processes at once."""

    def __init__(self, home: Path) -> None:
        """Use a home folder's memory. Where the folder is missing, nothing is remembered, and it is not made."""
        self._path = home / MEMORY_NAME

    def sha256_of(self, paths: Sequence[str | Path]) -> list[str | OSError]:
        """Digest files, and read only those that changed since they were last read. Links are followed.

        Returns for each path the SHA-256 of its content, in hexadecimal, or the error for which it cannot be read.
        """
        places = [_place_of(os.fspath(path)) for path in paths]
        answers: dict[bytes, str | OSError] = {**_unchanged(self._look_up(places), time.time_ns())}
        unknown = [place for place in places if place not in answers]
        rows: list[tuple[bytes, bytes, bytes, int]] = []
        for place, result in zip(unknown, _hash_all(unknown), strict=True):
            if isinstance(result, OSError):
                answers[place] = result
                continue
            sha256, identity = result
            answers[place] = sha256.hex()
            if identity is not None:
                row = (place, identity.packed, sha256)
                rows.append((*row, _checksum(*row)))
        self._remember(rows)
        return [answers[place] for place in places]

    def forget(self) -> None:
        """Drop all that is remembered, so that every file is read again, by this process and by all others.

        Raises:
            ArtifactError: The memory is there and cannot be removed.
        """
        try:
            self._remove()
        except OSError as error:
            raise ArtifactError(
                f"{self._path} cannot be removed: {error.strerror or error}, so its digests would be trusted. "
                "Make the home folder writable, or leave out --verify."
            ) from error

    def _look_up(self, places: list[bytes]) -> dict[bytes, tuple[bytes, bytes]]:
        if not os.path.exists(self._path):  # noqa: PTH110 (which is False also where the folder may not be read)
            return {}

        def read(connection: sqlite3.Connection) -> dict[bytes, tuple[bytes, bytes]]:
            found: dict[bytes, tuple[bytes, bytes]] = {}
            for start in range(0, len(places), _ROWS_PER_QUERY):
                some = places[start : start + _ROWS_PER_QUERY]
                marks = ",".join("?" * len(some))
                query = f"SELECT path, identity, sha256, checksum FROM files WHERE path IN ({marks})"  # noqa: S608
                for path, identity, sha256, checksum in connection.execute(query, some):
                    # In a damaged file a column may be of any type.
                    are_bytes = type(path) is type(identity) is type(sha256) is bytes
                    if are_bytes and checksum == _checksum(path, identity, sha256):
                        found[path] = (identity, sha256)
            return found

        return self._use(read, otherwise={})

    def _remember(self, rows: list[tuple[bytes, bytes, bytes, int]]) -> None:
        def write(connection: sqlite3.Connection) -> None:
            connection.execute(_CREATE)
            connection.executemany(_INSERT, rows)

        if rows and os.path.isdir(self._path.parent):  # noqa: PTH112
            self._use(write, otherwise=None)

    def _use(self, action: Callable[[sqlite3.Connection], Answer], *, otherwise: Answer) -> Answer:
        try:
            with contextlib.closing(sqlite3.connect(self._path, timeout=_SECONDS_FOR_A_LOCK)) as connection, connection:
                connection.text_factory = bytes  # damaged text need not be UTF-8
                return action(connection)
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF  # above it stands the detail
            if code not in _NOT_DAMAGE:
                with contextlib.suppress(OSError):  # it is a speed-up: then nothing is remembered
                    self._remove()
            return otherwise

    def _remove(self) -> None:
        # The journal first: an old journal would be played into a new file.
        self._path.with_name(f"{MEMORY_NAME}-journal").unlink(missing_ok=True)
        self._path.unlink(missing_ok=True)


def _place_of(path: str) -> bytes:
    # Strings and bytes throughout: for 40,000 files, Path objects would take longer than all else.
    return os.fsencode(path if os.path.isabs(path) else os.path.join(os.getcwd(), path))  # noqa: PTH109, PTH117, PTH118


def _unchanged(remembered: dict[bytes, tuple[bytes, bytes]], now: int) -> dict[bytes, str]:
    """Give the digests of the files that are as they were."""
    settled, found = now - _SETTLED_AFTER_NS, {}
    for place, (identity, sha256) in remembered.items():  # without a call for each: there may be 100,000
        try:
            status = os.stat(place)  # noqa: PTH116
        except OSError:  # of which reading it says the same
            continue
        if _packed(status) == identity and status.st_mtime_ns <= settled and status.st_ctime_ns <= settled:
            found[place] = sha256.hex()
    return found


def _hash_all(places: list[bytes]) -> Iterator[tuple[bytes, _Identity | None] | OSError]:
    turns = [places[start : start + _FILES_PER_TURN] for start in range(0, len(places), _FILES_PER_TURN)]
    if len(turns) < 2:
        yield from map(_hash, places)
        return
    with ThreadPoolExecutor(os.cpu_count()) as threads:  # reading and hashing both let other threads run
        for results in threads.map(lambda turn: [_hash(place) for place in turn], turns):
            yield from results


def _hash(place: bytes) -> tuple[bytes, _Identity | None] | OSError:
    """Read a file: its SHA-256, and its identity, which is None where it must not be remembered."""
    now = time.time_ns()  # before the file is read: what is changed from here on gets a later time, however coarse
    try:
        descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe would keep its reader waiting
        try:
            before = _identity(os.fstat(descriptor))
            sha256 = hashlib.file_digest(io.FileIO(descriptor, closefd=False), "sha256").digest()
            after = _identity(os.fstat(descriptor))
        finally:
            os.close(descriptor)
    except OSError as error:
        return error
    return sha256, before if before == after and before.is_settled(now) else None


def _identity(status: os.stat_result) -> _Identity:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "Not a regular file")
    return _Identity(_packed(status), max(status.st_mtime_ns, status.st_ctime_ns))


def _packed(status: os.stat_result) -> bytes:
    return _PACK(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev)


def _checksum(path: bytes, identity: bytes, sha256: bytes) -> int:
    return zlib.crc32(path + identity + sha256)
