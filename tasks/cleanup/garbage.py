"""What in a home folder can go: everything that is not kept, with its size and the reason."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from thaw.tasks.artifacts.age import disk_usage
from thaw.tasks.artifacts.entries import entries
from thaw.tasks.cleanup.inventory import Inventory
from thaw.tasks.cleanup.kept import Kept, Limits
from thaw.tasks.releases.registry import Registry
from thaw.tasks.releases.release import recipe_of
from thaw.tasks.run_logs import log_folders
from thaw.tasks.runs import RUNS_NAME
from thaw.tasks.training.features.step import FEATURES_KIND

TRASH_NAME = "trash"

Kind = Literal[
    "release",
    "run record",
    "log",
    "Prefect record",
    "key record",
    "artifact",
    "checkpoint",
    "download",
    "cut short",
    "quarantine",
    "temporary file",
    "trash",
]

_SET_ASIDE = re.compile(r".*[0-9a-f]{12}(\.json)?\.\d+")  # a digest, a release's id or a key record, and a number
_IN_TRASH = re.compile(r"[0-9a-f]{32}")  # a UUID


class Garbage(BaseModel):
    """A file or a folder that can go, and why."""

    model_config = ConfigDict(frozen=True)

    kind: Kind
    name: str
    path: Path
    bytes: int
    reason: str


def find_garbage(inventory: Inventory, registry: Registry, kept: Kept, limits: Limits) -> list[Garbage]:
    """List what can go, in the order in which it must go.

    A process that removes it may be killed after each. So a release goes before the runs that made it, and a key record
    before the artifact that it leads to: what is left never promises something that is gone.
    """
    home = inventory.home
    return [
        *_releases(registry, kept, limits),
        *_records(inventory, kept),
        *_artifacts(inventory, kept),
        *_untouched(home, limits),
        *_leftovers(home),
    ]


def _garbage(kind: Kind, path: Path, reason: str, name: str | None = None) -> Garbage:
    return Garbage(kind=kind, name=name or path.name, path=path, bytes=disk_usage(path).bytes, reason=reason)


def _releases(registry: Registry, kept: Kept, limits: Limits) -> Iterator[Garbage]:
    for release in registry.ids():
        recipe = recipe_of(release)
        if recipe is not None and release not in kept.releases:
            last = f"the last {limits.keep_releases} of {recipe}"
            reason = f"not in use, and not among {last}" if limits.keep_releases else "not in use"
            yield _garbage("release", registry.releases / release, reason)


def _records(inventory: Inventory, kept: Kept) -> Iterator[Garbage]:
    for run in inventory.runs:
        if run.path not in kept.runs:
            reason = "its release goes, or is gone" if run.content else "it is damaged"
            yield _garbage("run record", run.path, reason)
    keys = {record.key: record for record in inventory.keys}
    stale = {key: record for key, record in keys.items() if record.ref is None or record.ref not in kept.artifacts}
    for path in entries(inventory.home / "prefect-results", "*"):
        if path.name in stale or path.name not in keys:
            yield _garbage("Prefect record", path, "it leads to nothing that stays")
    for record in stale.values():
        reason = "its artifact goes, or is gone" if record.ref else "it is damaged"
        yield _garbage("key record", record.path, reason)


def _artifacts(inventory: Inventory, kept: Kept) -> Iterator[Garbage]:
    for ref, artifact in inventory.artifacts.items():
        if ref not in kept.artifacts:
            unused = "not used lately; the stages that were trained on it do not need it"
            reason = unused if ref.kind == FEATURES_KIND else "no kept release and no recent run refers to it"
            yield _garbage("artifact", artifact.folder, reason, f"{ref.kind}/{ref.digest}")


def _untouched(home: Path, limits: Limits) -> Iterator[Garbage]:
    kinds: dict[Kind, str] = {"checkpoint": "checkpoints", "download": "downloads", "cut short": "building"}
    for kind, folder in kinds.items():
        for path in entries(home / folder, "*"):
            if disk_usage(path).modified <= limits.young_after:
                yield _garbage(kind, path, "nobody has gone on with it")
    for path in log_folders(home):
        if disk_usage(path).modified <= limits.young_after:
            yield _garbage("log", path, "nothing was written there lately")
    for path in sorted((home / "quarantine").glob("*/*")):
        # A folder that is set aside keeps its time of modification; its inode's change is the moment of the renaming.
        set_aside = max(disk_usage(path).modified, path.lstat().st_ctime)
        if _SET_ASIDE.fullmatch(path.name) and set_aside <= limits.young_after:
            yield _garbage("quarantine", path, "it was set aside long ago", f"{path.parent.name}/{path.name}")


def _leftovers(home: Path) -> Iterator[Garbage]:
    for folder in ("keys", RUNS_NAME):
        for path in entries(home / folder, ".*.json.tmp"):
            yield _garbage("temporary file", path, "a process that was killed left it")
    for path in sorted((home / TRASH_NAME).glob("*")):
        if _IN_TRASH.fullmatch(path.name):
            yield _garbage("trash", path, "a thaw gc that was cut short left it")
