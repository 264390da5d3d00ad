"""The home folder of a command: it is tried before any work, and the trial leaves nothing."""

import json
import multiprocessing
import os
import signal
import tempfile
from importlib import metadata
from pathlib import Path

import pytest

from thaw.flows.commands.home import open_home, prepare_home
from thaw.pipeline_config.errors import ArtifactError, NewerVersionError

FORK = multiprocessing.get_context("fork")


def test_a_home_is_made_and_states_its_form(tmp_path: Path) -> None:
    home = prepare_home(tmp_path / "new" / "home")
    assert home.path == tmp_path / "new" / "home"
    (layout,) = home.path.iterdir()
    assert json.loads(layout.read_bytes()) == {"thaw": metadata.version("thaw"), "schema_version": 1}
    before = layout.stat()
    prepare_home(home.path)
    assert layout.stat() == before


def test_a_home_of_a_newer_version_is_refused_by_every_command_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "home.json").write_text('{"schema_version": 9, "thaw": "7.0"}')
    for use in (prepare_home, open_home):
        with pytest.raises(
            NewerVersionError, match=r"home\.json was written by thaw 7\.0, in form 9; .* newer thaw\.$"
        ):
            use(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["home.json"]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"schema_version": true, "thaw": 1}'])
def test_a_home_that_does_not_say_its_form_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "home.json").write_text(content)
    with pytest.raises(ArtifactError, match=r"home\.json is damaged\. Remove it if no newer thaw"):
        open_home(tmp_path)


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
