"""A folder of class folders, or of train, validation and test folders of class folders."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from thaw.pipeline_config.dataset_schema import SPLITS, DirectorySource, SplitName
from thaw.pipeline_config.errors import DatasetError
from thaw.pipeline_config.messages import received
from thaw.tasks.home import Home
from thaw.tasks.ingest.sources.base import SPLIT_NAMES
from thaw.tasks.ingest.sources.image_files import ImageFile, ImageFiles

# What file managers and archivers leave behind; so does everything whose name begins with a dot.
_LITTER = ("Thumbs.db", "desktop.ini", "__MACOSX", "@eaDir")
_LAYOUTS = "class folders with images, or train, validation and test folders of class folders"


class DirectoryImages(ImageFiles):
    """Images in folders named after their class.

    Every file in a class folder counts as an image, at any depth; links to files are followed, links to folders only
    where they stand for a class or a split. Hidden files, and files beside the class folders, are left out.
    """

    def __init__(self, config: DirectorySource, home: Home) -> None:
        """Prepare the source; the folder is not looked at yet, and the home folder not used."""
        del home
        self.folder = Path(config.path)

    def find(self) -> Iterator[ImageFile]:
        """Go through the files of all class folders."""
        for split_folder, split in self._split_folders():
            class_folders = _folders_in(split_folder)
            if not class_folders:
                raise DatasetError(f"{split_folder} has no class folders in it. Expected {_LAYOUTS}.")
            for folder in class_folders:
                class_name, origin = folder.name, None
                for origin in _files_below(folder, self.folder):
                    yield ImageFile(origin, class_name, split)
                if origin is None:
                    raise DatasetError(
                        f"{folder} has no files in it. Expected images of class {folder.name}; or remove it."
                    )

    def content(self, file: ImageFile) -> tuple[str, ...]:
        """The path alone: class and split are in it."""
        return (file.origin,)

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
        named = [(folder, split) for folder in folders if (split := SPLIT_NAMES.get(folder.name.lower()))]
        if not named:
            return [(self.folder, "train")]
        if len(named) < len(folders):
            other = next(folder.name for folder in folders if folder.name.lower() not in SPLIT_NAMES)
            raise DatasetError(
                f"{self.folder} mixes folders of splits ({named[0][0].name}) with other folders ({other}). "
                f"Expected {_LAYOUTS}, not both."
            )
        for split in SPLITS:
            same = [folder.name for folder, of in named if of == split]
            if len(same) > 1:
                raise DatasetError(f"{self.folder} has {len(same)} folders for {split}: {', '.join(same)}. Keep one.")
        return named


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in _LITTER


def _folders_in(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and not _is_hidden(path.name))
    except OSError as error:
        _refuse_folder(error)


def _files_below(folder: Path, top: Path) -> Iterator[str]:
    for parent, folders, names in os.walk(folder, onerror=_refuse_folder):
        folders[:] = [name for name in folders if not _is_hidden(name)]
        origin = Path(parent).relative_to(top).as_posix()
        yield from (_in_utf8(f"{origin}/{name}", top) for name in names if not _is_hidden(name))


def _refuse_folder(error: OSError) -> NoReturn:
    raise DatasetError(f"The folder {error.filename} cannot be read: {error.strerror}.") from error


def _in_utf8(origin: str, folder: Path) -> str:
    try:
        origin.encode()
    except UnicodeEncodeError as error:
        raise DatasetError(f"The name of {received(origin)} in {folder} is not valid UTF-8. Rename it.") from error
    return origin
