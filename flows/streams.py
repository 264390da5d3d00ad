"""The standard streams of the command, whatever it was started with: closed, full, or with nobody at the other end.

Results go to standard output. Who reads them may leave; then the command ends quietly, as programs do that SIGPIPE
kills. What is shown meanwhile goes to standard error; where that cannot be written, it is lost, and all else goes on.
"""

import errno
import io
import os
import signal
import sys
from typing import Any

from thaw.pipeline_config.errors import ThawError


def open_streams() -> None:
    """Give the process, and all that it starts, the descriptors 0 to 2, and Python's three streams on them.

    What a stream's encoding does not have is written as an escape.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:  # else the next file or pipe that is opened would get the number
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    streams: Any = sys  # whose streams are None where they were closed
    if streams.stdin is None:
        streams.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, "r", closefd=False)))
    streams.stdout = _text_stream(_Results(1, "w", closefd=False), streams.stdout)
    streams.stderr = _text_stream(_Status(2, "w", closefd=False), streams.stderr)


class _Results(io.FileIO):
    """Standard output."""

    def write(self, content: Any, /) -> int:
        """Write; ends the command where nobody reads, and raises ThawError for all else that the system refuses."""
        try:
            return super().write(content)
        except OSError as error:
            _discard(self.fileno())
            if error.errno == errno.EPIPE:
                raise SystemExit(128 + signal.SIGPIPE) from None
            message = f"The result cannot be written to standard output: {error.strerror}. Send it elsewhere."
            raise ThawError(message) from error


class _Status(io.FileIO):
    """Standard error."""

    def write(self, content: Any, /) -> int:
        """Write, or pass over what cannot be written, and all that follows."""
        try:
            return super().write(content)
        except OSError:
            _discard(self.fileno())
            return len(content)


def _discard(descriptor: int) -> None:
    # For good, and for whoever else writes there: what Python still holds is written again when the process ends.
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, descriptor)
    os.close(nothing)


def _text_stream(raw: io.FileIO, before: io.TextIOWrapper | None) -> io.TextIOWrapper:
    encoding = "utf-8" if before is None else before.encoding
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding, "backslashreplace", line_buffering=True)
