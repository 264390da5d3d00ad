"""The home folder of a command: it is tried before any work, and the trial leaves nothing."""

import multiprocessing
import os
import signal
import tempfile
from pathlib import Path

import pytest

from thaw.flows.commands.home import prepare_home
from thaw.pipeline_config.errors import ArtifactError

FORK = multiprocessing.get_context("fork")


def test_a_home_is_made_and_left_empty(tmp_path: Path) -> None:
    home = prepare_home(tmp_path / "new" / "home")
    assert home == tmp_path / "new" / "home"
    assert list(home.iterdir()) == []


def test_a_home_that_cannot_be_written_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**options: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.raises(ArtifactError, match=r"cannot be written: Read-only file system\. Choose another with --home"):
        prepare_home(tmp_path)


def test_a_command_that_is_killed_while_it_tries_its_home_leaves_nothing(tmp_path: Path) -> None:
    def die() -> None:
        original = tempfile.TemporaryFile

        def make_and_die(dir: Path) -> None:
            with original(dir=dir) as file:
                file.write(b"x")
                os.kill(os.getpid(), signal.SIGKILL)

        pytest.MonkeyPatch().setattr(tempfile, "TemporaryFile", make_and_die)
        prepare_home(tmp_path)

    child = FORK.Process(target=die)
    child.start()
    child.join(20)
    assert child.exitcode == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []
