"""A home folder, opened once and handed on: its artifacts, its releases, and the digests of files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from thaw.pipeline_config.errors import ArtifactError
from thaw.tasks.artifacts.atomic import write_atomically
from thaw.tasks.artifacts.document import Document, thaw_version
from thaw.tasks.artifacts.file_digests import FileDigests
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.artifacts.step import Step
from thaw.tasks.artifacts.store import ArtifactStore
from thaw.tasks.releases.registry import Registry

LAYOUT_NAME = "home.json"


class Layout(Document):
    """The contents of `home.json`: which form the home folder as a whole has, and which thaw last gave it that."""

    thaw: str


class Home:
    """An opened home folder. In the request of a child process it is written as its path, and opened there."""

    def __init__(self, path: Path, store: ArtifactStore) -> None:
        """Use a store; `Home.open` makes one."""
        self.path, self.store = path, store
        self.digests = store.digests
        self.registry = Registry(store)

    @classmethod
    def open(cls, path: Path) -> "Home":
        """Open a folder, which need not exist. Nothing is written.

        Raises:
            NewerVersionError: A later version of thaw has changed its form.
            ArtifactError: What it says of its form cannot be read.
        """
        path = path.absolute()
        _read_layout(path)
        return cls(path, ArtifactStore(path, FileDigests(path)))

    def telling(self, warn: Callable[[str], None]) -> "Home":
        """The same folder, with warnings that go elsewhere."""
        return Home(self.path, self.store.telling(warn))

    def state_layout(self) -> None:
        """Write down the form, if that was not done yet: before the first thing is written that needs it.

        Raises:
            ArtifactError: The folder cannot be written.
        """
        if _read_layout(self.path) is None:
            content = Layout(thaw=thaw_version()).model_dump_json() + "\n"
            write_atomically(self.path / LAYOUT_NAME, content.encode())

    def find(self, step: Step) -> tuple[ArtifactRef | None, str | None]:
        """Look for what a step makes and does, and change nothing.

        Returns the artifact if it is whole and nothing is left to do; else None, and what is wrong if that is why.
        """
        ref, problem = self.store.peek(step.key)
        if ref is not None and not step.took_effect(self, ref):
            return None, "the release is missing, altered, or not yet published"
        return ref, problem

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        del source, handler
        return core_schema.no_info_plain_validator_function(
            lambda value: value if isinstance(value, Home) else Home.open(Path(value)),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda home: str(home.path)),
        )


def _read_layout(path: Path) -> Layout | None:
    place = path / LAYOUT_NAME
    try:
        return Layout.from_json(place.read_bytes(), place)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ArtifactError(f"{place} cannot be read: {error.strerror or error}. Choose another --home.") from error
    except ValueError as error:
        raise ArtifactError(f"{place} is damaged. Remove it if no newer thaw has used this folder.") from error
