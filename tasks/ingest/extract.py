"""Unpack a zip or tar file whose author is not trusted: every member is looked at before the first one is written."""

import bz2
import contextlib
import gzip
import io
import lzma
import re
import stat
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

from thaw.pipeline_config.errors import DatasetError
from thaw.pipeline_config.messages import word
from thaw.tasks.artifacts.refusals import writing
from thaw.tasks.pace import ProgressCounter
from thaw.tasks.process import Reporter

_ZIP_SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06")  # of the first member, and of a file without members
_DECOMPRESSORS: dict[bytes, Callable[[IO[bytes]], io.BufferedIOBase]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\0": lzma.LZMAFile,
}
_ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_ZIP_ENCRYPTED = 0x1  # a bit of a member's flags
# What the libraries raise for a damaged file; what the file system refuses is an ArtifactError by then.
_BAD = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    OSError,
    ArithmeticError,
    RuntimeError,
    ValueError,
)

_DRIVE = re.compile(r"[A-Za-z]:")
_LONGEST_NAME = 255  # bytes, of one part of a path; that of most file systems
_BLOCK = 512  # bytes of a tar file's header
_BYTES_BESIDE_A_MEMBER = 16 * _BLOCK  # its header, the extended header before it, and padding
_LARGEST_HEADER = 32 * _BLOCK  # older Pythons take minutes for 200 KB of digits in one (CVE-2024-6232)
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Limits:
    """How much an archive may hold."""

    members: int  # files and folders
    bytes: int  # of all files together, unpacked


class _Member(NamedTuple):
    name: str  # as it stands in the archive
    problem: str | None  # why it is neither a file nor a folder that can be unpacked
    is_folder: bool
    bytes: int
    handle: Any  # for the library


class _Archive(NamedTuple):
    members: Iterator[_Member]
    open: Callable[[Any], IO[bytes] | None]


def extract(archive: Path, folder: Path, limits: Limits, report: Reporter) -> dict[str, int]:
    """Unpack an archive, or refuse the whole of it. Nothing is ever written outside the folder.

    The archive is a zip file, or a tar file that is plain or compressed with gzip, bzip2 or xz. The folder must not
    exist. Returns the number of files, and their bytes.

    Raises:
        DatasetError: The archive is damaged, of another kind, or has a member that may do harm; the message names it.
        ArtifactError: A file cannot be written.
    """
    with _reasons(), _open(archive, limits) as opened:
        checked = _check(opened.members, limits)
        if all(member.is_folder for _, member in checked):
            raise _refusal("it holds no files, expected images in class folders")
        with writing(folder):
            folder.mkdir()
        for name, member in checked:
            if member.is_folder:
                _make_folder(folder / name)
        files = [(folder / name, member) for name, member in checked if not member.is_folder]
        progress = ProgressCounter(report, len(files), "files unpacked")
        for path, member in files:
            _make_folder(path.parent)
            _write(path, member, opened.open(member.handle))
            progress.advance()
    return {"files": len(files), "bytes": sum(member.bytes for _, member in files)}


def _check(members: Iterator[_Member], limits: Limits) -> list[tuple[str, _Member]]:
    checked: list[tuple[str, _Member]] = []
    files: set[str] = set()
    folders: set[str] = set()
    total = 0
    for member in members:
        problem = member.problem or _problem_of(member.name)
        if problem is not None:
            raise _refusal(f"{word(member.name)} {problem}")
        path = "/".join(part for part in member.name.split("/") if part not in ("", "."))
        if not path and member.is_folder:
            continue  # "./", as tar writes it for the folder itself
        if path in files or not path:
            raise _refusal(f"{word(member.name)} is there twice" if path else "a file has no name")
        checked.append((path, member))
        (folders if member.is_folder else files).add(path)
        while (path := path.rpartition("/")[0]) and path not in folders:
            folders.add(path)
        total += member.bytes
        if len(checked) > limits.members:
            raise _refusal(f"it has more than {limits.members} members, which is dataset.source.max_members")
        if total > limits.bytes:
            raise _refusal(_too_large(limits.bytes))
    if both := files & folders:
        raise _refusal(f"{word(min(both))} is a file and a folder")
    return checked


def _problem_of(name: str) -> str | None:
    parts = name.split("/")
    problems = {
        # Control codes, and what is left of bytes that are no UTF-8.
        "has a name that is not valid": any(unicodedata.category(character) in ("Cc", "Cs") for character in name),
        "has a backslash in its name": "\\" in name,
        "has an absolute path": name.startswith("/"),
        "has a drive letter in its name": _DRIVE.match(name) is not None,
        "leads out of the folder, by ..": ".." in parts,
        "has a name that is too long": max(len(part.encode(errors="replace")) for part in parts) > _LONGEST_NAME,
    }
    return _first_of(problems)


def _first_of(problems: dict[str, bool]) -> str | None:
    return next((problem for problem, is_there in problems.items() if is_there), None)


def _write(path: Path, member: _Member, content: IO[bytes] | None) -> None:
    if content is None:
        raise _refusal(f"{word(member.name)} has no content")
    written = 0
    with content, writing(path), path.open("xb") as file:
        while chunk := _read(content):
            written += len(chunk)
            if written > member.bytes:
                break
            file.write(chunk)
    if written != member.bytes:
        raise _refusal(f"{word(member.name)} has another size than the {member.bytes} bytes that its header states")


def _read(content: IO[bytes]) -> bytes:
    try:
        return content.read(_CHUNK)
    except OSError as error:  # a damaged gzip or bzip2 file; it must not look like a fault of the file that is written
        raise ValueError(error.strerror or str(error)) from error


def _make_folder(folder: Path) -> None:
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)


@contextlib.contextmanager
def _open(archive: Path, limits: Limits) -> Iterator[_Archive]:
    with archive.open("rb") as file:
        start = file.read(max(map(len, _DECOMPRESSORS)))
        if not start:
            raise _refusal("it has 0 bytes, expected a zip or tar file")
        file.seek(0)
        if start.startswith(_ZIP_SIGNATURES):
            with zipfile.ZipFile(file) as zipped:
                yield _Archive(map(_zip_member, zipped.infolist()), zipped.open)
            return
        decompress = next((each for magic, each in _DECOMPRESSORS.items() if start.startswith(magic)), None)
        bounded = _Bounded(decompress(file) if decompress else file, limits)
        with tarfile.open(fileobj=bounded, mode="r:") as tar:
            yield _Archive(_tar_members(tar, bounded), tar.extractfile)


def _zip_member(info: zipfile.ZipInfo) -> _Member:
    kind = stat.S_IFMT(info.external_attr >> 16)
    problems = {
        "is a symbolic link": kind == stat.S_IFLNK,
        "is neither a file nor a folder": kind not in (0, stat.S_IFREG, stat.S_IFDIR),
        "is encrypted": bool(info.flag_bits & _ZIP_ENCRYPTED),
        f"is compressed by method {info.compress_type}, which is not supported": info.compress_type not in _ZIP_METHODS,
    }
    # The library shortens a name at its first NUL.
    is_folder = info.orig_filename.endswith("/") or kind == stat.S_IFDIR
    return _Member(info.orig_filename, _first_of(problems), is_folder, info.file_size, info)


def _tar_members(tar: tarfile.TarFile, stream: "_Bounded") -> Iterator[_Member]:
    for info in tar:
        yield _Member(info.name, _tar_problem(info), info.isdir(), info.size if info.isreg() else 0, info)
    stream.most_at_once = _CHUNK  # what is read from here on is content
    # The library takes a header that it cannot read for the end.
    stream.seek(tar.offset)
    end = stream.read(_BLOCK)
    if end.strip(b"\0") or len(end) < _BLOCK:
        raise tarfile.ReadError("it ends in the middle")
    while stream.read(_CHUNK):
        pass  # to the end of the compressed file, where its checksum is


def _tar_problem(info: tarfile.TarInfo) -> str | None:
    # `tarfile.data_filter` takes links and sparse files, and makes absolute paths relative.
    problems = {
        "has a size below zero": info.size < 0,
        "is a symbolic link": info.issym(),
        "is a hard link": info.islnk(),
        "is a device or a pipe": info.isdev(),
        "is neither a plain file nor a folder": info.issparse() or not (info.isreg() or info.isdir()),
    }
    return _first_of(problems)


class _Bounded(io.BufferedIOBase):
    """A stream of which no more than so much is ever unpacked, and never much at once, whatever its headers say."""

    most_at_once = _LARGEST_HEADER  # bytes

    def __init__(self, stream: io.BufferedIOBase, limits: Limits) -> None:
        self._stream = stream
        self._limits = limits
        self._most = limits.bytes + limits.members * _BYTES_BESIDE_A_MEMBER + _CHUNK  # and padding at the end

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= self.most_at_once:  # the library reads an extended header whole
            raise tarfile.ReadError(f"a header of {size} bytes")
        content = self._stream.read(size)
        self._check(self._stream.tell())
        return content

    def seek(self, position: int, whence: int = io.SEEK_SET, /) -> int:
        self._check(position)
        return self._stream.seek(position, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def _check(self, position: int) -> None:
        if position > self._most:
            raise _refusal(_too_large(self._limits.bytes))


def _too_large(allowed: int) -> str:
    return f"its files have more than {allowed} bytes together, which is dataset.source.max_gigabytes"


def _refusal(reason: str) -> DatasetError:
    return DatasetError(f"The archive is refused, and nothing of it is used: {reason}.")


@contextlib.contextmanager
def _reasons() -> Iterator[None]:
    try:
        yield
    except DatasetError:
        raise
    except _BAD as error:
        text = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise _refusal(f"it is no whole zip file and no whole tar file (plain, gzip, bzip2 or xz): {text}") from error
