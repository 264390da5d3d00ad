"""The files of a features artifact while they are written, so that a pass that was cut short is taken up where it was.

    checkpoints/<key>/progress.json                how many images of each split are done, and what the files then held
    checkpoints/<key>/<a file of the artifact>

What `progress.json` speaks of has reached the disk before it. What a file holds beyond that is cut off.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from pydantic import Field

from thaw.pipeline_config.dataset_schema import SplitName
from thaw.tasks.artifacts.atomic import make_folder, write_atomically
from thaw.tasks.artifacts.document import Document
from thaw.tasks.artifacts.refusals import writing
from thaw.tasks.process import Reporter
from thaw.tasks.training.features.rows import FileSoFar, RowsFile, RowsWriter, RowType

PROGRESS_NAME = "progress.json"


class Progress(Document):
    """The contents of `progress.json`: what is done, the type in which rows are kept, and the wall time so far."""

    type: RowType
    images: dict[SplitName, int] = Field(default_factory=dict)
    files: dict[str, FileSoFar] = Field(default_factory=dict)
    seconds: float = 0.0


class Unfinished:
    """The files of one features artifact while they grow."""

    def __init__(self, folder: Path, row_type: RowType, reporter: Reporter) -> None:
        """Look at what an earlier attempt left. Where that is damaged, it is told, and not used."""
        self._folder = folder
        self._writers: list[RowsWriter] = []
        self.progress = self._read(reporter) or Progress(type=row_type)

    @property
    def bytes(self) -> int:
        """What is there, as far as it is whole."""
        return sum(file.bytes for file in self.progress.files.values())

    def done(self, split: SplitName) -> int:
        """Count the images of a split that are done."""
        return self.progress.images.get(split, 0)

    def begin_again(self, row_type: RowType) -> None:
        """Forget what is there."""
        self.progress = Progress(type=row_type)
        with writing(self._folder):
            (self._folder / PROGRESS_NAME).unlink(missing_ok=True)

    @contextlib.contextmanager
    def writing(self, split: SplitName, files: Sequence[RowsFile], start: int) -> Iterator[None]:
        """Open the files of a split, to go on after `start` of its images, which are done."""
        if start < self.done(split):
            self.begin_again(self.progress.type)  # before something of it is cut off
        make_folder(self._folder)
        with contextlib.ExitStack() as stack:
            self._writers = [stack.enter_context(RowsWriter(self._folder, file, start)) for file in files]
            yield

    def write(self, rows: Sequence[NDArray[Any]]) -> None:
        """Write the next rows of each open file, in the types in which they are stored."""
        for writer, content in zip(self._writers, rows, strict=True):
            writer.write(content)

    def save(self, split: SplitName, done: int, seconds: float) -> None:
        """Let the next attempt go on from here; so many images of the split are written."""
        files = {writer.path.name: writer.settle() for writer in self._writers}
        self.progress = Progress(
            type=self.progress.type,
            images=self.progress.images | {split: done},
            files=self.progress.files | files,
            seconds=seconds,
        )
        write_atomically(self._folder / PROGRESS_NAME, self.progress.model_dump_json().encode())

    def hand_over(self, folder: Path) -> None:
        """Put the finished files into another folder. They stay here, too, until the artifact is in place."""
        for name in self.progress.files:
            with writing(folder / name):
                try:
                    os.link(self._folder / name, folder / name)
                except OSError:  # a file system without links: who is killed from here on begins again
                    (self._folder / name).replace(folder / name)

    def _read(self, reporter: Reporter) -> Progress | None:
        path = self._folder / PROGRESS_NAME
        if not path.exists():
            return None
        try:
            progress = Progress.from_json(path.read_bytes(), path)
            if all(file.is_in(self._folder / name) for name, file in progress.files.items()):
                return progress
            damage = "The files beside it are not what it says."
        except (OSError, ValueError) as error:
            damage = " ".join(str(error).split())[:200]
        reporter.warn(f"{path} is of no use, so the frozen layers begin again: {damage}")
        return None
