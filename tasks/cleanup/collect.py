"""Remove what nothing in a home folder needs any more.

A kill at any moment leaves a home folder that works: the order of removal is that of `find_garbage`, a folder vanishes
from its place in one step, by being renamed into `trash/`, and what is left there is removed by the next time. Files in
`locks/` stay for ever: if one were removed while somebody waits for it, two processes would come to hold the same lock.
"""

import contextlib
import shutil
import uuid
from pathlib import Path

from pydantic import BaseModel

from thaw.tasks.artifacts.atomic import sync
from thaw.tasks.artifacts.in_use import home_at_rest
from thaw.tasks.artifacts.refusals import refusals
from thaw.tasks.cleanup.garbage import TRASH_NAME, Garbage, find_garbage
from thaw.tasks.cleanup.inventory import take_inventory
from thaw.tasks.cleanup.kept import Limits, find_kept
from thaw.tasks.home import Home

_ADVICE = "What is left works; put it right and try again."


class Collected(BaseModel):
    """What was found, and removed unless only asked for."""

    home: Path
    dry_run: bool
    garbage: list[Garbage]
    bytes: int  # of the garbage
    warnings: list[str]  # what stays because something is damaged


def collect_garbage(home: Home, limits: Limits, *, dry_run: bool) -> Collected:
    """Remove what no kept release, champion or recent run refers to; on a dry run, only say what would go.

    Raises:
        HomeInUseError: A run is going on in the home folder.
        PublishError: It cannot be said which release is a champion.
        ArtifactError: Something cannot be removed. What is left works.
    """
    if not home.path.is_dir():
        return Collected(home=home.path, dry_run=dry_run, garbage=[], bytes=0, warnings=[])
    registry = home.registry
    with home_at_rest(home.path), contextlib.nullcontext() if dry_run else registry.locked():
        inventory = take_inventory(home.path)
        kept = find_kept(inventory, registry, limits)
        garbage = find_garbage(inventory, registry, kept, limits)
        if not dry_run:
            for item in garbage:
                _remove(home.path, item)
            trash = home.path / TRASH_NAME
            with refusals(trash, "removed", _ADVICE):
                if trash.is_dir() and not any(trash.iterdir()):
                    trash.rmdir()
    total = sum(item.bytes for item in garbage)
    return Collected(home=home.path, dry_run=dry_run, garbage=garbage, bytes=total, warnings=kept.warnings)


def _remove(home: Path, item: Garbage) -> None:
    with refusals(item.path, "removed", _ADVICE):
        if item.path.is_symlink() or not item.path.is_dir():
            item.path.unlink(missing_ok=True)
            return
        folder = item.path if item.kind == "trash" else _move_to_trash(home, item.path)
        shutil.rmtree(folder)


def _move_to_trash(home: Path, folder: Path) -> Path:
    trash = home / TRASH_NAME
    trash.mkdir(exist_ok=True)
    place = trash / uuid.uuid4().hex
    folder.rename(place)
    sync(trash)
    sync(folder.parent)
    return place
