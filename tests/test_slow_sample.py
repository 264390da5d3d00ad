"""The sample of the slow tests that a change has to pass, tried on small suites in processes of their own."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

from tests.test_children import ROOT, wait_until_gone

CONFTEST = """
from tests.slow_sample import pytest_addoption, register
from tests.time_by_file import pytest_terminal_summary

def pytest_configure(config):
    register(config)
"""
SUITE = """
import pytest
pytestmark = pytest.mark.slow

@pytest.mark.parametrize("number", range(10))
def test_quick(number):
    pass

@pytest.mark.timeout(901)
def test_that_may_take_longer():
    assert False
"""
SLEEPERS = """
import subprocess, time
import pytest
pytestmark = pytest.mark.slow

@pytest.mark.parametrize("number", range(4))
def test_that_waits(number):
    process = subprocess.Popen(["sleep", "60"])
    with open("pids", "a") as file:
        file.write(f"{process.pid} ")
    process.wait() if number % 2 else time.sleep(60)
"""


def sample(folder: Path, *options: str) -> list[str]:
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n  slow: takes long\n  timeout: seconds\n")
    command = [sys.executable, "-m", "pytest", "-v", "-m", "slow", "-p", "no:cacheprovider", *options]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment |= {"PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def order(folder: Path, commit: str) -> list[str]:
    return [line.split()[0] for line in sample(folder, "--sample", commit) if "::" in line and "PASSED" in line]


def test_the_commit_makes_the_order_file_by_file_and_what_may_take_longer_is_left_out(tmp_path: Path) -> None:
    for name in ("test_a.py", "test_b.py"):
        (tmp_path / name).write_text(SUITE)
    orders = [order(tmp_path, commit) for commit in ("c0ffee", "c0ffee", "decade", "facade", "beaded")]
    assert orders[0] == orders[1]
    assert len({tuple(found) for found in orders[1:]}) == 4
    firsts = set()
    for found in orders:
        assert sorted(found) == sorted(orders[0])
        files = [test.partition("::")[0] for test in found]
        assert files.count("test_a.py") == files.count("test_b.py") == 10
        assert files == sorted(files, reverse=files[0] == "test_b.py")
        firsts.add(files[0])
    assert firsts == {"test_a.py", "test_b.py"}


def test_when_the_time_is_up_tests_are_cut_short_with_all_they_started(tmp_path: Path) -> None:
    (tmp_path / "test_sleepers.py").write_text(SLEEPERS)
    begin = time.monotonic()
    minutes = "0.9"  # of which it leaves 45 seconds for the end
    lines = sample(tmp_path, "--sample", "c0ffee", "--sample-minutes", minutes, "--numprocesses", "2", "-rs")
    assert time.monotonic() - begin < 50
    assert re.search(r"= 4 skipped in ", lines[-1])
    text = "\n".join(lines)
    assert "the sample's time was up during it" in text
    assert "the sample's time was up before it" in text
    assert wait_until_gone([int(pid) for pid in (tmp_path / "pids").read_text().split()]) == []


def test_the_end_says_how_long_each_file_took_the_longest_first(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text("import pytest\n@pytest.mark.slow\ndef test(): pass\ndef test_fast(): pass")
    (tmp_path / "test_b.py").write_text("import pytest, time\n@pytest.mark.slow\ndef test(): time.sleep(3.1)")
    lines = sample(tmp_path, "--sample", "c0ffee", "--numprocesses", "2")
    start = next(number for number, line in enumerate(lines) if "minutes by file" in line)
    assert lines[start + 1 : start + 3] == ["   0.1    1 in test_b.py", "   0.0    1 in test_a.py"]
