"""What every check of `thaw doctor` offers."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import BaseModel

from thaw.pipeline_config.schema import Recipe


class Finding(BaseModel):
    """What a check has found: with an error no run can succeed, with a warning one may."""

    level: Literal["ok", "warning", "error"]
    text: str  # one line
    remedy: str = ""  # what to do, one line; there is one unless all is well


@dataclass(frozen=True)
class Here:
    """What is looked at: the home folder, which need not exist, and the recipe that is to run, if one is named."""

    home: Path
    recipe: Recipe | None


class Check(ABC):
    """One thing that a run needs.

    A check changes nothing, imports what is large only when it is asked, and is called in a thread of its own. What it
    finds wrong is a finding, not an error.
    """

    name: ClassVar[str]

    @abstractmethod
    def examine(self, here: Here) -> Iterator[Finding]:
        """Look, and say what there is: one finding at least."""


def nearest_folder(path: Path) -> Path:
    """The folder itself, or where there is none, the one above in which it would be made."""
    return next(place for place in (path, *path.parents) if place.exists())
