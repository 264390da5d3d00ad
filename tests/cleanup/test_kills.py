"""The Nth removal fails, or is the last thing that the process does, for N = 1, 2, … until none is left."""

import contextlib
import errno
import os
from pathlib import Path
from typing import Any

import pytest

from tests.cleanup import homes
from thaw.pipeline_config.errors import ArtifactError
from thaw.tasks.cleanup.collect import collect_garbage
from thaw.tasks.cleanup.kept import Limits
from thaw.tasks.home import Home

LIMITS = Limits(0, young_after=homes.LONG_AGO + homes.DAY)
_OPERATIONS = ("unlink", "rmdir", "rename", "mkdir")
_MOST_OPERATIONS = 400


class Death(BaseException):
    """The process ends here: no handler for errors may see it."""


class Faults:
    """Counts the operations that change folders, and lets the Nth be the last, or fail."""

    def __init__(self, way: str, nth: int) -> None:
        self.way, self.nth, self.count = way, nth, 0

    def install(self, patch: pytest.MonkeyPatch) -> None:
        for name in _OPERATIONS:
            patch.setattr(os, name, self.wrap(getattr(os, name)))

    def wrap(self, operation: Any) -> Any:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            self.count += 1
            if self.way == "death" and self.count >= self.nth:
                raise Death
            if self.way == "error" and self.count == self.nth:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return operation(*arguments, **options)

        return wrapped


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[homes.Run]]:
    """A champion, one to go back to, and a run that can go, with data of its own."""
    home = tmp_path_factory.mktemp("template") / "home"
    before, champion = homes.run(home, "digits", "a", 0.5), homes.run(home, "digits", "b", 0.6)
    homes.run(home, "digits", "c", 0.1, data="drawings")
    homes.let_time_pass(home)
    return home, [before, champion]


@pytest.mark.parametrize(
    ("way", "step"),
    [
        ("death", 4),
        ("error", 5),
        pytest.param("death", 1, marks=pytest.mark.slow),
        pytest.param("error", 1, marks=pytest.mark.slow),
    ],
)
def test_a_clean_up_may_end_anywhere(template, tmp_path, way, step):
    home, kept = template
    undisturbed = homes.copy_home(home, tmp_path / "undisturbed")
    collect_garbage(Home.open(undisturbed), LIMITS, dry_run=False)
    expected = homes.files_in(undisturbed)
    for nth in range(1, _MOST_OPERATIONS, step):
        copy = homes.copy_home(home, tmp_path / str(nth))
        faults = Faults(way, nth)
        failure: BaseException | None = None
        with pytest.MonkeyPatch.context() as patch:
            faults.install(patch)
            try:
                collect_garbage(Home.open(copy), LIMITS, dry_run=False)
            except (ArtifactError, Death) as error:
                failure = error
        assert "\n" not in str(failure)
        homes.assert_works(copy)
        done = homes.files_in(copy)
        collect_garbage(Home.open(copy), LIMITS, dry_run=False)
        homes.assert_complete(copy)
        assert homes.files_in(copy) == expected
        if faults.count < nth:
            assert failure is None
            assert nth > 40  # or nothing was tried
            assert all(run.is_up_to_date(copy) for run in kept)
            return
        # Where the error is passed over, as of a folder that is there already, all was done.
        assert failure is not None or done == expected
    pytest.fail("the clean-up never ends")


def test_the_run_that_was_removed_in_part_can_be_repeated(template, tmp_path):
    home, _ = template
    for nth in range(1, _MOST_OPERATIONS, 7):
        copy = homes.copy_home(home, tmp_path / str(nth))
        faults = Faults("death", nth)
        with pytest.MonkeyPatch.context() as patch:
            faults.install(patch)
            with contextlib.suppress(Death):
                collect_garbage(Home.open(copy), LIMITS, dry_run=False)
        run = homes.run(copy, "digits", "c", 0.1, data="drawings")
        assert run.is_up_to_date(copy)
        homes.assert_works(copy)
        if faults.count < nth:
            return
    pytest.fail("the clean-up never ends")
