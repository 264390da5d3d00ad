"""A folder of class folders, or of train, validation and test folders of class folders."""

import functools
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from thaw.pipeline_config.dataset_schema import DirectorySource, SplitName
from thaw.pipeline_config.errors import DatasetError
from thaw.tasks.artifacts.file_digests import FileDigests
from thaw.tasks.home import Home
from thaw.tasks.ingest.sources.base import SPLIT_NAMES, RawExample, content_word, read_regular_file
from thaw.tasks.process import Reporter

# What file managers and archivers leave behind; so does everything whose name begins with a dot.
_LITTER = ("Thumbs.db", "desktop.ini", "__MACOSX", "@eaDir")
_LAYOUTS = "class folders with images, or train, validation and test folders of class folders"


class _File(NamedTuple):  # a data class takes three times as long to make, and there may be 40,000
    origin: str
    class_name: str
    split: SplitName


class DirectoryImages:
    """Images in folders named after their class.

    Every file in a class folder counts as an image, at any depth; links to files are followed, links to folders only
    where they stand for a class or a split. Hidden files, and files beside the class folders, are left out. Classes are
    in the order of their names.
    """

    def __init__(self, config: DirectorySource, home: Home) -> None:
        """Prepare the source; the folder is not looked at yet.

        Args:
            config: Says where the folder is.
            home: Not used: the images are read where they are.
        """
        del home
        self.folder = Path(config.path)

    def fetch(self, report: Reporter) -> None:
        """Do nothing: the folder is on this machine."""

    def splits(self) -> frozenset[SplitName]:
        """List the splits that have a folder; without such folders, train."""
        return frozenset(split for _, split in self._split_folders)

    def classes(self) -> tuple[str, ...]:
        """List the names of the class folders of all splits, in code-point order."""
        return tuple(sorted({file.class_name for file in self._files}))

    def count(self) -> int:
        """Count the files in class folders."""
        return len(self._files)

    def examples(self) -> Iterator[RawExample]:
        """Go through the files in the order of their paths."""
        for file in self._files:
            yield RawExample(file.origin, file.class_name, file.split, functools.partial(self.read_again, file.origin))

    def read_again(self, origin: str) -> bytes:
        """Read one file.

        Args:
            origin: Its path below the folder, with forward slashes.

        Returns:
            Its content.

        Raises:
            OSError: It is missing, not readable, or not a regular file.
        """
        return read_regular_file(self.folder / origin)

    def content_digest(self, digests: FileDigests) -> str:
        """Digest the path and the content of every file.

        Args:
            digests: Knows the files that did not change since they were last read.

        Returns:
            SHA-256, in hexadecimal.
        """
        digest = hashlib.sha256()
        folder = str(self.folder)
        contents = digests.sha256_of([f"{folder}{os.sep}{file.origin}" for file in self._files])
        for file, content in zip(self._files, contents, strict=True):
            digest.update(f"{file.origin}\0{content_word(content)}\n".encode())
        return digest.hexdigest()

    @functools.cached_property
    def _split_folders(self) -> list[tuple[Path, SplitName]]:
        try:
            is_folder = stat.S_ISDIR(self.folder.stat().st_mode)
        except OSError as error:
            raise DatasetError(f"{self.folder}: {error.strerror}. Expected a folder with {_LAYOUTS}.") from error
        if not is_folder:
            raise DatasetError(f"{self.folder} is a file. Expected a folder with {_LAYOUTS}.")
        folders = _folders_in(self.folder)
        if not folders:
            raise DatasetError(f"{self.folder} has no folders in it. Expected {_LAYOUTS}.")
        named = [(folder, SPLIT_NAMES[folder.name.lower()]) for folder in folders if _is_split(folder)]
        if not named:
            return [(self.folder, "train")]
        if len(named) < len(folders):
            other = next(folder.name for folder in folders if not _is_split(folder))
            raise DatasetError(
                f"{self.folder} mixes folders of splits ({named[0][0].name}) with other folders ({other}). "
                f"Expected {_LAYOUTS}, not both."
            )
        for split in ("train", "validation", "test"):
            same = [folder.name for folder, of in named if of == split]
            if len(same) > 1:
                raise DatasetError(f"{self.folder} has {len(same)} folders for {split}: {', '.join(same)}. Keep one.")
        return named

    @functools.cached_property
    def _files(self) -> list[_File]:
        files = [file for folder, split in self._split_folders for file in self._files_of_split(folder, split)]
        return sorted(files, key=lambda file: file.origin)

    def _files_of_split(self, split_folder: Path, split: SplitName) -> Iterator[_File]:
        class_folders = _folders_in(split_folder)
        if not class_folders:
            raise DatasetError(f"{split_folder} has no class folders in it. Expected {_LAYOUTS}.")
        for folder in class_folders:
            origins = list(_files_below(folder, self.folder))
            if not origins:
                raise DatasetError(
                    f"{folder} has no files in it. Expected images of class {folder.name}; or remove it."
                )
            for origin in origins:
                yield _File(origin, folder.name, split)


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in _LITTER


def _is_split(folder: Path) -> bool:
    return folder.name.lower() in SPLIT_NAMES


def _folders_in(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and not _is_hidden(path.name))
    except OSError as error:
        raise _unreadable_folder(error) from error


def _files_below(folder: Path, top: Path) -> Iterator[str]:
    for parent, folders, names in os.walk(folder, onerror=_raise_unreadable_folder):
        folders[:] = [name for name in folders if not _is_hidden(name)]
        origin = Path(parent).relative_to(top).as_posix()
        yield from (_in_utf8(f"{origin}/{name}", top) for name in names if not _is_hidden(name))


def _raise_unreadable_folder(error: OSError) -> None:
    raise _unreadable_folder(error) from error


def _unreadable_folder(error: OSError) -> DatasetError:
    return DatasetError(f"The folder {error.filename} cannot be read: {error.strerror}.")


def _in_utf8(origin: str, folder: Path) -> str:
    try:
        origin.encode()
    except UnicodeEncodeError as error:
        raise DatasetError(f"The name of {origin!r} in {folder} is not valid UTF-8. Rename it.") from error
    return origin
