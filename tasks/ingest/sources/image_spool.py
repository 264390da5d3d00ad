"""Images that can only be read many at a time, copied to a temporary file so that they can be read one by one."""

import os
import tempfile
import threading
from array import array
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path
from typing import IO


class ImageSpool:
    """Reads each group of images once, whatever the order in which its images are asked for; used from any thread.

    Memory holds the place of each image, and no image. The file takes as much room as the images; it has no name, so
    that nothing is left of it when the process ends, however it ends.
    """

    def __init__(self, folder: Path) -> None:
        """Use a folder's disk, which must exist when an image is read; no file is made yet."""
        self._folder = folder
        self._file: IO[bytes] | None = None
        self._bounds: dict[Hashable, array[int]] = {}
        self._lock = threading.Lock()

    def read(self, group: Hashable, number: int, load: Callable[[], Iterable[bytes]]) -> bytes:
        """Read the image that has that number, from 0, in its group.

        `load` goes through the group's images; it is called if none of them has been read before.

        Raises:
            OSError: The file cannot be written or read.
            IndexError: The group has fewer images.
        """
        with self._lock:
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - kept as long as the spool
            if group not in self._bounds:
                bounds = array("q", [self._file.seek(0, os.SEEK_END)])
                for image in load():
                    self._file.write(image)
                    bounds.append(bounds[-1] + len(image))
                self._file.flush()
                self._bounds[group] = bounds
            bounds, descriptor = self._bounds[group], self._file.fileno()
        return os.pread(descriptor, bounds[number + 1] - bounds[number], bounds[number])
