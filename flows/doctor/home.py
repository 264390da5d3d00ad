"""The home folder: whether it can be opened and written, and on what kind of disk it is."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from thaw.flows.doctor.base import Check, Finding, Here, nearest_folder
from thaw.pipeline_config.errors import ThawError
from thaw.pipeline_config.messages import word
from thaw.tasks.home import Home

# By what mount(8) calls them. There, locks may not hold between machines, and renaming may not be at once.
_SHARED = (
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "afs",
    "9p",
    "ceph",
    "lustre",
    "glusterfs",
    "gpfs",
    "beegfs",
    "webdav",
)
_SHARED_BEGINNINGS = ("fuse.sshfs", "fuse.s3", "fuse.gcs", "fuse.rclone", "fuse.gluster", "fuse.ceph")
_IN_MEMORY = ("tmpfs", "ramfs")
_CHOOSE = "Choose another with --home or THAW_HOME."


class HomeFolder(Check):
    """Opens and writes, and leaves nothing."""

    name = "home"

    def examine(self, here: Here) -> Iterator[Finding]:
        """Look at the folder and those in it, or at where it would be made."""
        try:
            Home.open(here.home)
        except ThawError as error:
            yield Finding(level="error", text=str(error), remedy=_CHOOSE)
            return
        place = nearest_folder(here.home)
        closed = [path for path in (place, *_parts(here.home)) if (path.is_dir() and not _takes_files(path))]
        if not place.is_dir():
            yield Finding(level="error", text=f"{word(str(place))} is no folder.", remedy=_CHOOSE)
        elif closed:
            text = f"{word(str(closed[0]))} cannot be written by this user."
            yield Finding(level="error", text=text, remedy=f"Let this user write there (chown, chmod). {_CHOOSE}")
        else:
            yield Finding(level="ok", text=f"{here.home} can be written")


class LocalDisk(Check):
    """Says whether the home folder is on a disk of this machine."""

    name = "disk kind"

    def examine(self, here: Here) -> Iterator[Finding]:
        """Look at what is mounted."""
        mounts = [(each.mountpoint, each.fstype) for each in psutil.disk_partitions(all=True)]
        kind = file_system(os.path.realpath(here.home), mounts)
        if kind in _SHARED or kind.startswith(_SHARED_BEGINNINGS):
            text = f"The home folder is on {kind}, which other machines share: there locks may not hold."
            yield Finding(level="warning", text=text, remedy=f"Use a local disk. {_CHOOSE}")
        elif kind in _IN_MEMORY:
            text = f"The home folder is in memory ({kind}): releases are gone when the machine starts anew."
            yield Finding(level="warning", text=text, remedy=f"Use a disk. {_CHOOSE}")
        else:
            yield Finding(level="ok", text=f"local ({kind or 'unknown'})")


def file_system(path: str, mounts: Sequence[tuple[str, str]]) -> str:
    """Find the kind of file system that a path is on; of two mounts at one place the later one counts.

    >>> file_system("/data/photos", [("/", "ext4"), ("/data", "nfs4"), ("/database", "xfs")])
    'nfs4'
    """
    above = [(len(point), number) for number, (point, _) in enumerate(mounts) if _is_below(path, point)]
    return mounts[max(above)[1]][1] if above else ""


def _is_below(path: str, point: str) -> bool:
    return f"{path}/".startswith(f"{point.rstrip('/')}/")


def _parts(home: Path) -> list[Path]:
    return [path for path in home.iterdir() if path.is_dir()] if home.is_dir() else []


def _takes_files(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder):  # has no name, so that nothing stays
            return True
    except OSError:
        return False
