"""Which release is the champion of each recipe, and every decision about it. No TensorFlow.

    champions/<recipe>.json   {"release": id, "sequence": n, …}, replaced atomically
    log.jsonl                 one line for each change, in the order of `sequence`; the clock orders nothing

A release that a person declined has a line in the log, too, which changes nothing.

A change is written to the log first, and synced; that is the moment at which it happens. Then the pointer follows. So:

- a crash before the log's line is whole: nothing happened. The torn line is passed over, the next change cuts it off;
- a crash between the line and the pointer: the change has happened. The line's sequence is higher than the pointer's,
  so every reader already takes the line's release, and `Registry.locked` replaces the pointer before all else;
- a line that cannot be written is cut off again and the change fails; a pointer that cannot be written fails as well,
  with a message that says that the change is recorded;
- a pointer that is lost or damaged is restored from the log; where the log's last lines are lost or damaged, the
  pointer's sequence is the higher one, and the pointer holds. Damaged lines are passed over and stay where they are.
  A line or pointer with a name that no recipe or release can have is damaged;
- a line or pointer that a later version of thaw wrote is not passed over: nothing is done without knowing what it says.

A champion is only ever a release whose folder is complete, because the folder is in place before the line is written.
"""

import contextlib
import errno
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from thaw.pipeline_config.errors import ArtifactError, PublishError
from thaw.pipeline_config.schema import RECIPE_NAME, RecipeName
from thaw.tasks.artifacts.atomic import make_folder, sync, write_atomically
from thaw.tasks.artifacts.document import Document
from thaw.tasks.artifacts.refusals import reading, refusals
from thaw.tasks.releases.release import ReleaseId, recipe_of
from thaw.tasks.releases.verdict import Outcome

LOG_NAME = "log.jsonl"
CHAMPIONS_NAME = "champions"

Action = Literal["publish", "approve", "decline", "promote", "rollback"]

_WITHOUT_FORM = {"thaw": "0.1.0"}  # the one version whose lines and pointers do not say their form, or their version

_Document = TypeVar("_Document", bound=Document)


class Pointer(Document):
    """The contents of `champions/<recipe>.json`."""

    release: ReleaseId
    sequence: int = Field(ge=1, description="of the change that made it the champion")
    thaw: str = Field(description="the version that made the change")

    @classmethod
    def upgrade(cls, document: dict[str, Any], form: int) -> dict[str, Any]:
        """Form 0 lacks thaw's version."""
        del form
        return _WITHOUT_FORM | document


class LogEntry(Document):
    """One line of `log.jsonl`: the champion of a recipe changed, or stayed because a person said so."""

    FORM: ClassVar[int] = 2

    sequence: int = Field(ge=1, description="counts all changes of this home folder")
    time: str = Field(description="in UTC, ISO 8601; for readers only")
    action: Action
    recipe: RecipeName
    release: ReleaseId = Field(description="the champion from now on, or the one that was declined")
    evaluation: str | None = Field(description="by its digest one knows the same model in another release")
    previous: ReleaseId | None = Field(description="the champion until now, if there was one")
    outcome: Outcome | None = Field(default=None, description="of the verdict, where a run published it")
    by: str | None = Field(default=None, description="the name that a person gave who was asked")
    reason: str
    thaw: str = Field(description="the version that made the change")

    @model_validator(mode="after")
    def _check_recipe(self) -> Self:
        if recipe_of(self.release) != self.recipe:
            raise ValueError(f"{self.release} is no release of {self.recipe}")
        return self

    @classmethod
    def upgrade(cls, document: dict[str, Any], form: int) -> dict[str, Any]:
        """Form 0 lacks the evaluation, and thaw's version; form 1, who decided."""
        del form
        return _WITHOUT_FORM | {"evaluation": None} | document

    @property
    def pointer(self) -> Pointer:
        """The pointer that follows the change."""
        return Pointer(release=self.release, sequence=self.sequence, thaw=self.thaw)


class ChampionLog(BaseModel):
    """The log and the pointers, as they were read at one moment."""

    model_config = ConfigDict(frozen=True)

    entries: list[LogEntry] = []  # the changes that can be read, in the order of the file
    declined: list[LogEntry] = []  # the lines that changed nothing
    damaged_lines: list[int] = []  # numbers of those that cannot, from 1; a torn last line is not among them
    pointers: dict[str, Pointer] = {}  # by recipe
    damaged_pointers: list[str] = []  # recipes whose pointer cannot be read
    stray_pointers: list[str] = []  # names of files among the pointers that are named after no recipe

    @property
    def recipes(self) -> list[str]:
        """The recipes that have a champion, in alphabetical order."""
        return sorted({*self.pointers, *(entry.recipe for entry in self.entries)})

    @property
    def next_sequence(self) -> int:
        """The number of the next change."""
        lines = [*self.entries, *self.declined]
        known = [*(entry.sequence for entry in lines), *(pointer.sequence for pointer in self.pointers.values())]
        return max(known, default=0) + 1

    def champion(self, recipe: str, is_visible: Callable[[str], bool]) -> Pointer | None:
        """Say which release is the champion, by the log and the pointer, whichever is ahead.

        If neither names a release that is there, it is the one named last. None if neither names any.

        Raises:
            PublishError: The pointer is damaged, and the log, which would replace it, does not know the recipe.
        """
        named = [entry.pointer for entry in self.changes(recipe)[-1:]]
        named += [self.pointers[recipe]] if recipe in self.pointers else []
        if recipe in self.damaged_pointers and not named:
            raise PublishError(
                f"{CHAMPIONS_NAME}/{recipe}.json is damaged, and {LOG_NAME} names no champion of {recipe}. "
                "Remove the file, then thaw releases promote the one to use."
            )
        named.sort(key=lambda pointer: -pointer.sequence)
        return next((pointer for pointer in named if is_visible(pointer.release)), named[0] if named else None)

    def anchor(self, recipe: str) -> str | None:
        """Find the last champion that was more than not worse than the one before it; None where the log has none.

        However many releases are each not worse than the last, none may be worse than this.
        """
        steps = [entry for entry in self.changes(recipe) if entry.outcome != "not worse"]
        return steps[-1].release if steps else None

    def was_champion(self, release: str) -> bool:
        """Say whether a release is, or ever was, a champion: whether the log or a pointer names it."""
        named = {entry.release for entry in self.entries} | {pointer.release for pointer in self.pointers.values()}
        return release in named

    def before(self, recipe: str, champion: str, is_visible: Callable[[str], bool]) -> str | None:
        """Find the release that a rollback returns to: the nearest one below the champion that is still there.

        Champions lie on a stack: publishing and promoting add to it, a rollback takes off what lies above its target.
        """
        stack: list[str] = []
        for entry in self.changes(recipe):
            if entry.action == "rollback" and entry.release in stack:
                while stack[-1] != entry.release:
                    stack.pop()
            else:
                stack.append(entry.release)
        return next((release for release in reversed(stack) if release != champion and is_visible(release)), None)

    def changes(self, recipe: str) -> list[LogEntry]:
        """List the changes of one recipe's champion, in their order."""
        return sorted((entry for entry in self.entries if entry.recipe == recipe), key=lambda entry: entry.sequence)


def read_champion_log(releases: Path) -> ChampionLog:
    """Read the log and the pointers below the folder of all releases, which need not exist.

    What is damaged is left out, and named.

    Raises:
        NewerVersionError: A later version of thaw wrote a line or a pointer.
        UnreadableError: A file cannot be read now.
    """
    log = releases / LOG_NAME
    lines = _read_bytes(log).split(b"\n")
    parsed = [(number, _parse(LogEntry, line, f"{log}, line {number},")) for number, line in enumerate(lines, start=1)]
    pointers: dict[str, Pointer] = {}
    damaged, stray = [], []
    for path in _pointer_files(releases / CHAMPIONS_NAME):
        pointer = _parse(Pointer, _read_bytes(path), path)
        if not re.fullmatch(RECIPE_NAME, path.stem):
            stray.append(path.name)
        elif pointer is None or recipe_of(pointer.release) != path.stem:
            damaged.append(path.stem)
        else:
            pointers[path.stem] = pointer
    read = [entry for _, entry in parsed if entry is not None]
    return ChampionLog(
        entries=[entry for entry in read if entry.action != "decline"],
        declined=[entry for entry in read if entry.action == "decline"],
        # What follows the last line break is empty, or torn.
        damaged_lines=[number for number, entry in parsed[:-1] if entry is None],
        pointers=pointers,
        damaged_pointers=damaged,
        stray_pointers=stray,
    )


def record(releases: Path, entry: LogEntry) -> None:
    """Make a change of a champion: a line in the log, then the pointer. The caller holds the lock.

    Raises:
        PublishError: The log or the pointer cannot be written; the message says which of the two champions holds.
    """
    note(releases, entry)
    try:
        write_pointer(releases, entry.recipe, entry.pointer)
    except ArtifactError as error:
        message = f"{error} The change to {entry.release} is in {LOG_NAME}; the next run completes it."
        raise PublishError(message) from error


def note(releases: Path, entry: LogEntry) -> None:
    """Add a line to the log; raises PublishError where it cannot be written. The caller holds the lock."""
    path = releases / LOG_NAME
    with refusals(path, "written", f"The champion of {entry.recipe} is as it was.", PublishError):
        _append(path, entry.model_dump_json().encode())


def write_pointer(releases: Path, recipe: str, pointer: Pointer) -> None:
    """Replace a recipe's pointer; raises ArtifactError where that cannot be done."""
    path = releases / CHAMPIONS_NAME / f"{recipe}.json"
    make_folder(path.parent)
    write_atomically(path, pointer.model_dump_json().encode() + b"\n")


def _append(path: Path, line: bytes) -> None:
    is_new = not path.exists()
    whole = _without_torn_line(_read_bytes(path), path)
    content = (b"\n" if whole and not whole.endswith(b"\n") else b"") + line + b"\n"
    with path.open("ab", buffering=0) as file:  # without a buffer, because closing one would write once more
        file.truncate(len(whole))
        try:
            if file.write(content) != len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(file.fileno())
            if is_new:
                sync(path.parent)
        except OSError:
            with refusals(path, "written", "Whether the change counts, thaw releases list shows.", PublishError):
                os.truncate(path, len(whole))
            raise


def _without_torn_line(content: bytes, path: Path) -> bytes:
    end = content.rfind(b"\n") + 1
    # A line that lacks nothing but its line break says all, and counts.
    return content if _parse(LogEntry, content[end:], path) is not None else content[:end]


def _pointer_files(folder: Path) -> list[Path]:
    with reading(folder), contextlib.suppress(FileNotFoundError):  # `glob` passes over a folder that it may not list
        return sorted(path for path in folder.iterdir() if path.suffix == ".json" and not path.name.startswith("."))
    return []


def _read_bytes(path: Path) -> bytes:
    with reading(path), contextlib.suppress(FileNotFoundError):
        return path.read_bytes()
    return b""


def _parse(model: type[_Document], content: bytes, name: object) -> _Document | None:
    with contextlib.suppress(ValueError):
        return model.from_json(content, name)
    return None
