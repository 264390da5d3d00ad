"""Starts the command in places that break programs."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
THAW = (sys.executable, "-m", "thaw.flows.main")
# How a service manager may start a program: without some of the descriptors 0 to 2, in the words of a shell.
CLOSED = ["<&-", ">&-", "2>&-", "<&- >&-", "<&- 2>&-", ">&- 2>&-", "<&- >&- 2>&-"]


def start(
    *command: str | Path, how: str = "", cwd: Path | None = None, names: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end. `how` is what a shell writes after it; of its environment, empty names are left out."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | (names or {})
    return subprocess.run(
        ["sh", "-c", f'"$@" {how}', "sh", *map(str, command)],
        env={name: value for name, value in environment.items() if value},
        cwd=cwd,
        stdin=subprocess.PIPE,
        capture_output=True,
        encoding="utf-8",
        timeout=200,
        check=False,
    )


def assert_one_line(done: subprocess.CompletedProcess[str], code: int) -> None:
    """The command failed, and said why in a line."""
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith("thaw: "), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert len(done.stderr) < 500, done.stderr
