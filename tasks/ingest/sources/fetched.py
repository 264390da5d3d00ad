"""What a source brings from elsewhere: fetched once, and kept as an artifact of the home folder."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from thaw.tasks.artifacts.step import Made, Step
from thaw.tasks.home import Home
from thaw.tasks.process import Reporter

_FILES = "files"  # the folder of what is fetched, in the artifact, so that none of it can pass for the manifest


class FetchedStep(Step):
    """Base of the steps that make such artifacts: what was fetched, below `files/`."""

    @functools.cached_property
    def key_document(self) -> dict[str, Any]:
        """No source of thaw's: a new version of it gets the same files, and must not download them again."""
        return super().key_document | {"sources": {}}

    def fetch(self, home: Home, get: Callable[[Path], dict[str, Any]], report: Reporter) -> Path:
        """Get the files, unless they are there and whole. One process at a time does so.

        `get` makes the folder that it is given, and returns the artifact's facts. Returns that folder, in the artifact.

        Raises:
            ArtifactError: The home folder cannot be written.
        """
        store = home.store.telling(report.warn)
        ref = store.build(self, lambda folder: Made.timed(lambda: get(folder / _FILES)))
        store.mark_used(self.key)
        return store.folder(ref) / _FILES
