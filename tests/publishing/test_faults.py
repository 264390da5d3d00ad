"""The Nth file operation fails, for N = 1, 2, … until none does; afterwards the champion is the old one or the new one.

Four ways to fail: an error once; an error from then on, as on a full disk; and death right before or right after the
operation, after which nothing more of the process happens.
"""

import builtins
import errno
import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.publishing.helpers import assert_consistent, champion_id, damage, id_of, judge, run
from thaw.pipeline_config.errors import ThawError
from thaw.tasks.home import Home
from thaw.tasks.publishing.publish import publish

A, B = id_of("digits", "a"), id_of("digits", "b")
WAYS = ["error once", "error from then on", "death before", "death after"]
_OPERATIONS = ("fsync", "replace", "rename", "mkdir", "truncate")
_MOST_OPERATIONS = 200


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Whether data reach the disk no test can see; that the calls fail, these tests do see."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


class Death(BaseException):
    """The process ends here: no handler for errors may see it."""


class Faults:
    """Lets the Nth file operation fail."""

    def __init__(self, way: str, nth: int) -> None:
        self.way, self.nth, self.count = way, nth, 0

    def install(self, patch: pytest.MonkeyPatch) -> None:
        for name in _OPERATIONS:
            patch.setattr(os, name, self.wrap(getattr(os, name)))
        patch.setattr(shutil, "copyfile", self.wrap(shutil.copyfile))
        real_open = builtins.open

        def write_open(*arguments, **options):
            mode = options.get("mode", arguments[1] if len(arguments) > 1 else "r")
            return (faulty_open if set(mode) & set("wa+x") else real_open)(*arguments, **options)

        faulty_open = self.wrap(real_open)
        patch.setattr(io, "open", write_open)  # what pathlib calls

    def wrap(self, operation: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments, **options):
            self.count += 1
            if self.way == "death before" and self.count >= self.nth:
                raise Death
            is_due = self.count == self.nth or (self.way == "error from then on" and self.count > self.nth)
            if is_due and self.way.startswith("error"):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if self.way == "death after" and self.count > self.nth:
                raise Death
            result = operation(*arguments, **options)
            if self.way == "death after" and self.count == self.nth:
                raise Death
            return result

        return wrapped


def fail_everywhere(
    way: str, template: Path, change: Callable[[Path], object], check: Callable[[Path], None], least: int = 5
) -> None:
    """Copy a home folder, change it with the Nth operation failing, check it; until nothing fails."""
    for nth in range(1, _MOST_OPERATIONS):
        home = template.with_name(str(nth))
        shutil.copytree(template, home)
        faults = Faults(way, nth)
        failure: BaseException | None = None
        with pytest.MonkeyPatch.context() as patch:
            faults.install(patch)
            try:
                change(home)
            except (ThawError, Death) as error:
                failure = error
        assert "\n" not in str(failure)
        check(home)
        shutil.rmtree(home)
        if faults.count < nth:
            assert failure is None
            assert nth > least  # or nothing was tried
            return
    pytest.fail("the change never succeeds")


@pytest.mark.parametrize(("previous", "way"), [(None, "death after"), *(("a", way) for way in WAYS)])
def test_publishing_may_fail_anywhere(tmp_path, way, previous):
    template = tmp_path / "template"
    if previous:
        run(template, "digits", previous, 0.7)
    ref = judge(template, "digits", "b", 0.8)

    def check(home):
        assert champion_id(home, "digits") in (B, A if previous else None)
        assert_consistent(home)
        assert publish(Home.open(home), ref).is_champion
        assert [entry.release for entry in Home.open(home).registry.log()] == ([A, B] if previous else [B])
        assert not list((home / "releases").glob(".*"))

    fail_everywhere(way, template, lambda home: publish(Home.open(home), ref), check)


@pytest.mark.parametrize(("approved", "way"), [(True, "death after"), (True, "error once"), (False, "death before")])
def test_what_a_person_decides_may_fail_anywhere(tmp_path: Path, way: str, approved: bool) -> None:
    template = tmp_path / "template"
    run(template, "digits", "a", 0.7)
    assert not run(template, "digits", "b", 0.8, ask_first=True).is_champion

    def decide(home: Path) -> object:
        return Home.open(home).registry.decide(B, approved=approved, by="Ada", reason="seen")

    def check(home: Path) -> None:
        assert champion_id(home, "digits") in ((A, B) if approved else (A,))
        assert_consistent(home)
        decide(home)
        assert champion_id(home, "digits") == (B if approved else A)
        last = Home.open(home).registry.log()[-1]
        assert (len(Home.open(home).registry.log()), last.release, last.by, last.reason) == (2, B, "Ada", "seen")

    fail_everywhere(way, template, decide, check, least=5 if approved else 4)  # to decline is a line in the log


@pytest.mark.parametrize("way", ["error from then on", "death before"])
def test_rebuilding_a_damaged_champion_may_fail_anywhere(tmp_path, way):
    template = tmp_path / "template"
    ref = judge(template, "digits", "a", 0.8)
    damage(publish(Home.open(template), ref).path / "model.keras")

    def check(home):
        with Home.open(home).registry.locked():
            assert champion_id(home, "digits") == A
        assert publish(Home.open(home), ref).is_champion
        assert_consistent(home)
        assert len(Home.open(home).registry.log()) == 1

    fail_everywhere(way, template, lambda home: publish(Home.open(home), ref), check)


@pytest.mark.parametrize(("action", "way"), [("rollback", "death after"), *(("promote", way) for way in WAYS)])
def test_promoting_and_rolling_back_may_fail_anywhere(tmp_path, way, action):
    template = tmp_path / "template"
    run(template, "digits", "a", 0.7)
    run(template, "digits", "b", 0.8)
    shutil.rmtree(template / "artifacts")

    def change(home):
        registry = Home.open(home).registry
        return registry.promote(A, "test") if action == "promote" else registry.rollback("digits", "test")

    def check(home):
        assert champion_id(home, "digits") in (A, B)
        assert_consistent(home)
        assert Home.open(home).registry.promote(A, "again").is_champion
        assert [entry.release for entry in Home.open(home).registry.log()] == [A, B, A]

    fail_everywhere(way, template, change, check)
