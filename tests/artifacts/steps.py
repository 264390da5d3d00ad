"""A step for tests of the store; its work is a plain function in the test itself."""

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from tests.support import without_cost
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.artifacts.step import Made, Step


class LetterStep(Step):
    """Makes an artifact of kind "letters"; its work module is one that imports little."""

    kind: ClassVar[str] = "letters"
    work: ClassVar[str] = "thaw.tasks.records.index:read_index"
    libraries: ClassVar[tuple[str, ...]] = ("numpy",)

    text: str
    weights: dict[str, float] = Field(default_factory=dict)
    parent: ArtifactRef | None = None


def write_letters(folder: Path) -> Made:
    """Two files, one of them in a folder, and no facts."""
    (folder / "a.txt").write_bytes(b"alpha")
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "er" / "b.bin").write_bytes(bytes(range(256)))
    return without_cost()
