"""Which files `thaw serve` has read its recipes from, for its runs: one that has changed since is no surprise then.

A run is a process of `thaw serve`'s, and gets this by its environment.
"""

import hashlib
import json
import os
from pathlib import Path

from thaw.pipeline_config.messages import word

_VARIABLE = "THAW_SERVED_FILES"  # a JSON document: by recipe, the path of its file, and the SHA-256 of that


def note_file(recipe: str, path: Path) -> None:
    """Note for the runs of this process which file a recipe was read from."""
    os.environ[_VARIABLE] = json.dumps(_noted() | {recipe: [str(path.absolute()), _sha256(path)]})


def changed_file(recipe: str) -> str | None:
    """Say that a recipe's file is another now than when `thaw serve` has read it; None where it is not."""
    path, sha256 = _noted().get(recipe, (None, None))
    if path is None or _sha256(Path(path)) == sha256:
        return None
    return (
        f"{word(path)} has changed since thaw serve has read it, or cannot be read. This run is of the recipe as it "
        "was, which is among its parameters. Start thaw serve anew to serve the new one."
    )


def _noted() -> dict[str, list[str | None]]:
    return dict(json.loads(os.environ.get(_VARIABLE, "{}")))


def _sha256(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None
