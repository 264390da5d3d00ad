"""What every format of a release offers. No TensorFlow."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from thaw.pipeline_config.errors import RequestError
from thaw.pipeline_config.preprocessing import Preprocessing
from thaw.tasks.releases.release import Release

# From the contents of image files to float32 probabilities (batch, classes).
Scorer = Callable[[Sequence[bytes]], NDArray[np.float32]]


@dataclass(frozen=True)
class ModelContext:
    """What a format must know of a model besides the model: its classes, in the order of its outputs, and its input."""

    classes: Sequence[str]
    input: Preprocessing

    @classmethod
    def of(cls, release: Release) -> Self:
        """What a release says of its model."""
        return cls(release.classes, release.input)


class Format(ABC):
    """One way to keep a model in a release. Its module can be imported where what it needs is missing.

    `name` is as `publish.formats` says it, and `file` the file or folder that it writes, by which one knows that a
    release has it. It needs modules that thaw does not install, if any, to write and to read.
    """

    name: ClassVar[str]
    file: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()

    def is_in(self, folder: Path) -> bool:
        """Say whether a release has this format."""
        return (folder / self.file).exists()

    def missing(self) -> str | None:
        """Say in one line what to install before the format can be used; None where all is there."""
        absent = [name for name in self.needs if find_spec(name) is None]
        if not absent:
            return None
        return f"Format {self.name} needs {', '.join(absent)}, not installed here. Run pip install {' '.join(absent)}."

    def check_needs(self) -> None:
        """Raise RequestError where something is missing."""
        missing = self.missing()
        if missing is not None:
            raise RequestError(missing)

    @abstractmethod
    def export(self, model: Any, folder: Path, context: ModelContext) -> None:
        """Write `file` into a release's folder.

        The model is Keras's, from float32 images (batch, resolution, resolution, 3) in [0, 255] to float32
        probabilities (batch, classes).
        """

    @abstractmethod
    def load(self, folder: Path, context: ModelContext) -> Scorer:
        """Read `file` from a release's folder, checked before: loading a model may run code."""

    @abstractmethod
    def usage(self, context: ModelContext) -> str:
        """Show how to use it, in Markdown for the model card.

        It holds one block of Python that runs in the release's folder beside an image `photo.jpg`, and prints the
        class and its probability.
        """

    def limits(self, context: ModelContext) -> str:
        """Say what it does not do, as items of a Markdown list for the model card; empty if there is nothing."""
        del context
        return ""
