"""Lets the Nth reading below a folder fail, for a reason that has nothing to do with what is there."""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

_CHANGES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class FailingReads:
    """Counts what is opened for reading, listed, and asked for its status."""

    def __init__(self, folder: Path, code: int, nth: int) -> None:
        self._folder, self._code, self._nth = f"{folder}/", code, nth
        self.count = 0

    def install(self, patch: pytest.MonkeyPatch) -> None:
        for module, name in ((os, "stat"), (os, "listdir"), (os, "scandir"), (os, "open"), (io, "open")):
            patch.setattr(module, name, self._counting(name, getattr(module, name)))

    @property
    def has_failed(self) -> bool:
        return self.count >= self._nth

    def _counting(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def counting(path: Any = ".", *arguments: Any, **options: Any) -> Any:
            reads = True
            if name == "open":
                mode = arguments[0] if arguments else options.get("mode", "r")
                reads = not mode & _CHANGES if isinstance(mode, int) else mode in {"r", "rb"}
            if reads and not isinstance(path, int) and os.fsdecode(path).startswith(self._folder):
                self.count += 1
                if self.count == self._nth:
                    raise OSError(self._code, os.strerror(self._code), os.fsdecode(path))
            return real(path, *arguments, **options)

        return counting
