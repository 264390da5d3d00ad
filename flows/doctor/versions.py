"""Python and the libraries: those that thaw asks for, and those of requirements.lock where thaw runs from its sources.

An installed thaw has no lock: what its metadata ask for is what it is compared with.
"""

import platform
import re
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from thaw.flows.doctor.base import Check, Finding, Here

_LOCKED = re.compile(r"^([\w.-]+)==([^\s;]+)(?: ; ([^\\\n]+))?", re.MULTILINE)
_LISTED = 5  # libraries


class Versions(Check):
    """Compares what is installed."""

    name = "versions"

    def examine(self, here: Here) -> Iterator[Finding]:
        """Look at Python, at what thaw asks for, and at the lock."""
        del here
        wanted, python = metadata.metadata("thaw")["Requires-Python"] or "", platform.python_version()
        if not SpecifierSet(wanted).contains(python, prereleases=True):
            text = f"This is Python {python}; thaw needs {wanted}."
            yield Finding(level="error", text=text, remedy="Install thaw with another Python.")
        yield from _unmet([Requirement(line) for line in metadata.requires("thaw") or ()])
        different = _different_from_lock()
        if different is None:
            yield Finding(level="ok", text=f"Python {python}; no requirements.lock here to compare with")
        elif different:
            text = f"{len(different)} libraries are not those of requirements.lock: {_listed(different)}."
            remedy = "Run make setup, if results are to be those of the lock."
            yield Finding(level="warning", text=text, remedy=remedy)
        else:
            yield Finding(level="ok", text=f"Python {python}; the libraries are those of requirements.lock")


def _unmet(requirements: list[Requirement]) -> Iterator[Finding]:
    for one in requirements:
        if one.marker is not None and not one.marker.evaluate({"extra": ""}):
            continue
        found = _version(one.name)
        remedy = f'Run pip install "{one.name}{one.specifier}".'
        if found is None:
            yield Finding(level="error", text=f"{one.name} is not installed.", remedy=remedy)
        elif not one.specifier.contains(found, prereleases=True):
            text = f"{one.name} is {found}; thaw is made for {one.specifier}."
            yield Finding(level="warning", text=text, remedy=remedy)


def _different_from_lock() -> list[str] | None:
    """Say what is another version than the lock's, or missing; None where there is no lock."""
    spec = find_spec("thaw")
    lock = Path(spec.origin).resolve().parents[1] / "requirements.lock" if spec and spec.origin else None
    if lock is None or not lock.is_file():
        return None
    different = []
    for name, version, marker in _LOCKED.findall(lock.read_text(encoding="utf-8")):
        if (not marker or Marker(marker.strip()).evaluate()) and (found := _version(name)) != version:
            different.append(f"{name} {found or 'is missing'} ({version})")
    return different


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _listed(words: list[str]) -> str:
    return ", ".join(words[:_LISTED]) + (" and others" if len(words) > _LISTED else "")
