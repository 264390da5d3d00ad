"""Files of tables, on this machine or in an object store: which ones a recipe means, and how their content is known.

pyarrow's file systems do the work, so one form of code serves all. pyarrow is imported where it is used: the process of
a plan or a flow has no need of it unless a recipe reads tables.
"""

import fnmatch
import functools
import hashlib
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from thaw.pipeline_config.dataset_schema import SplitName
from thaw.pipeline_config.errors import DatasetError, DownloadError, ThawError
from thaw.pipeline_config.messages import text_without_secrets, without_secrets, word
from thaw.tasks.artifacts.file_digests import FileDigests

_WILDCARD = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class TableFile:
    """One file that a recipe means.

    Attributes:
        name: Its path below the folder that all files of the recipe have in common.
        split: The split that the recipe gives it, if it gives one.
        filesystem: A `pyarrow.fs.FileSystem`.
        path: Its path there.
        size: Bytes.
        modified_ns: When it was written, in nanoseconds since 1970, if the file system knows.
    """

    name: str
    split: SplitName | None
    filesystem: Any
    path: str
    size: int
    modified_ns: int | None

    def error(self, cause: Exception) -> ThawError:
        """Say that the file cannot be read: another attempt may overcome that if it is not on this machine."""
        return _unreadable(self.path, self.filesystem, cause)


def resolve(location: str) -> tuple[Any, str]:
    """Find the `pyarrow.fs.FileSystem` of a place, and the path there, with the wildcards that the place may hold.

    A place is a path on this machine, or a URL that pyarrow knows, such as s3:// or gs://, in which what follows a
    question mark is options of the file system.

    Raises:
        DatasetError: The URL is not one that pyarrow can use.
        DownloadError: The object store does not answer.
    """
    from pyarrow import fs

    if "://" not in location:
        return fs.LocalFileSystem(), location
    place = word(without_secrets(location))
    address, question_mark, options = location.partition("?")
    folder, pattern = _split_at_wildcard(address)  # wildcards have no place in a URL
    try:
        filesystem, path = fs.FileSystem.from_uri(folder + question_mark + options)
    # Without the causes, which may quote the address.
    except OSError as error:
        raise DownloadError(f"{place}: {_line(error)}. Check the network, the address and the rights.") from None
    except ValueError as error:  # pyarrow.ArrowInvalid is one
        raise DatasetError(
            f"{place} is no address that pyarrow can read: {_line(error)}. "
            "Expected a path, or a URL such as s3://bucket/folder/*.parquet or gs://bucket/folder/*.parquet."
        ) from None
    return filesystem, posixpath.join(path, pattern) if pattern else path


def find_files(places: str | Sequence[str] | Mapping[SplitName, str | Sequence[str]]) -> list[TableFile]:
    """Find the files that a recipe means, each once, in the order of their names.

    In a glob, `*` and `?` stand for parts of a name, `**` for any folders; hidden files need to be named.

    Raises:
        DatasetError: A place holds no file, or a file belongs to two splits.
        DownloadError: The object store does not answer.
    """
    found: dict[str, TableFile] = {}
    for split, of_split in places.items() if isinstance(places, Mapping) else [(None, places)]:
        for location in [of_split] if isinstance(of_split, str) else of_split:
            for file in _files_at(location, split):
                any_before = next(iter(found.values()), file)
                if not file.filesystem.equals(any_before.filesystem):
                    raise DatasetError(
                        f"{file.path} and {any_before.path} are in different places. "
                        "Expected all files on this machine, or all in one object store."
                    )
                same_before = found.setdefault(file.path, file)
                if same_before.split != split:
                    raise DatasetError(
                        f"{file.path} is in the splits {same_before.split} and {split}. Expected one split a file."
                    )
    base = posixpath.commonpath([posixpath.dirname(path) for path in found])
    named = [replace(file, name=posixpath.relpath(path, base) if base else path) for path, file in found.items()]
    return sorted(named, key=lambda file: file.name)


def digest_files(files: Sequence[TableFile], digests: FileDigests) -> str:
    """Digest which files there are, the split of each, and their content.

    A local file is known by the SHA-256 of its content. An object is known by its size and the time at which the store
    says that it was written, because its content cannot be had without fetching it; where the store tells no time, it
    is fetched.

    Raises:
        DatasetError: A local file cannot be read.
        DownloadError: An object cannot be read.
    """
    from pyarrow import fs

    local = [file.path for file in files if isinstance(file.filesystem, fs.LocalFileSystem)]
    contents = dict(zip(local, digests.sha256_of(local), strict=True))
    digest = hashlib.sha256()
    for file in files:
        content = contents[file.path] if file.path in contents else _identity(file)
        if isinstance(content, OSError):
            raise file.error(content)
        digest.update(f"{file.split or ''}\0{file.name}\0{content}\n".encode())
    return digest.hexdigest()


def _identity(file: TableFile) -> str:
    if file.modified_ns is not None:
        return f"{file.size} bytes written at {file.modified_ns}"
    try:
        with file.filesystem.open_input_stream(file.path) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise file.error(error) from error


def _files_at(location: str, split: SplitName | None) -> Iterator[TableFile]:
    from pyarrow import fs

    filesystem, path = resolve(location)
    place = word(without_secrets(location))

    def table_file(info: Any) -> TableFile:
        return TableFile(info.path, split, filesystem, info.path, info.size, info.mtime_ns)

    try:
        exact = filesystem.get_file_info(path)
        if exact.type == fs.FileType.File:  # its name may hold what is a wildcard elsewhere
            yield table_file(exact)
            return
        folder, pattern = _split_at_wildcard(path)
        if not pattern:
            raise DatasetError(
                f"{place} is a folder. Expected files; for all in it, write {place.rstrip('/')}/*.parquet."
                if exact.type == fs.FileType.Directory
                else f"There is no file {place}. Expected a Parquet file, or a glob such as folder/*.parquet."
            )
        parts = tuple(pattern.split("/"))
        selector = fs.FileSelector(folder or "/", allow_not_found=True, recursive=len(parts) > 1)
        infos = [info for info in filesystem.get_file_info(selector) if info.type == fs.FileType.File]
    except OSError as error:
        raise _unreadable(place, filesystem, error) from error
    start = len(folder.rstrip("/")) + 1 if folder else 0
    matching = [info for info in infos if _matches(tuple(info.path[start:].split("/")), parts)]
    if not matching:
        raise DatasetError(f"No file matches {place}. Expected at least one Parquet file.")
    yield from map(table_file, matching)


def _split_at_wildcard(path: str) -> tuple[str, str]:
    """Divide a path into the folder before its first wildcard, and the rest; without a wildcard there is no rest."""
    wildcard = _WILDCARD.search(path)
    if wildcard is None:
        return path, ""
    slash = path.rfind("/", 0, wildcard.start())
    return path[: slash + 1], path[slash + 1 :]


@functools.cache
def _matches(names: tuple[str, ...], patterns: tuple[str, ...]) -> bool:
    if not patterns:
        return not names
    if patterns[0] == "**":
        rest = _matches(names, patterns[1:])
        return rest or (bool(names) and not names[0].startswith(".") and _matches(names[1:], patterns))
    if not names or (names[0].startswith(".") and not patterns[0].startswith(".")):
        return False
    return fnmatch.fnmatchcase(names[0], patterns[0]) and _matches(names[1:], patterns[1:])


def _unreadable(location: str, filesystem: Any, cause: Exception) -> ThawError:
    from pyarrow import fs

    message = f"{word(location)} cannot be read: {_line(cause)}."
    if isinstance(filesystem, fs.LocalFileSystem) or not isinstance(cause, OSError):
        return DatasetError(f"{message} Repair or remove it.")
    return DownloadError(f"{message} Check the network, the address and the rights.")


def _line(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text_without_secrets(" ".join(text.split())).rstrip(".")
