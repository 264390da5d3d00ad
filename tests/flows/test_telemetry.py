"""A command on a terminal says nothing of usage statistics, and sends none."""

import os
import pty
import subprocess
import sys
from pathlib import Path

from tests.prefect_server import Thaw
from thaw.flows.commands.start_prefect import set_prefect_defaults

# Where Prefect takes a machine for one of continuous integration, it says nothing anyway.
OF_PREFECT = ("CI", "DO_NOT_TRACK", "PREFECT_API_URL", "PREFECT_SERVER_ANALYTICS_ENABLED")


def test_the_first_command_on_a_terminal_prints_no_notice_of_prefects(thaw: Thaw, tmp_path: Path) -> None:
    environment = {name: value for name, value in thaw.environment.items() if name not in OF_PREFECT}
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "thaw.flows.cli", "serve", "digits", "--home", tmp_path / "home"],
        env=environment | {"PREFECT_HOME": str(tmp_path / "prefect"), "TERM": "dumb"},
        cwd=tmp_path,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    said = b""
    try:
        while received := os.read(ours, 4096):
            said += received
    except OSError:  # how Linux says that nobody writes there any more
        assert process.wait(timeout=60) == 2
    os.close(ours)
    assert said.startswith(b"thaw: thaw serve needs a Prefect server"), said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "prefect" / ".sdk_telemetry" / "notice_shown").exists()


def test_whoever_wants_usage_statistics_sets_them(monkeypatch, tmp_path: Path) -> None:
    for name in OF_PREFECT[1:]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DO_NOT_TRACK", "0")
    set_prefect_defaults(tmp_path)
    assert (os.environ["DO_NOT_TRACK"], os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"]) == ("0", "false")
