"""What a command writes to standard error with `--log-format json`: documents alone, whoever speaks."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

from typer.testing import CliRunner

from tests.cleanup import homes
from tests.test_run_logs import RUN, write
from thaw.flows.cli import app
from thaw.tasks.cleanup.collect import collect_garbage
from thaw.tasks.cleanup.kept import Limits
from thaw.tasks.home import Home

# Prefect, a library, Python's warnings, and an error with its traceback.
OTHERS = """
import logging, warnings
from thaw.flows.status import choose_log_format
choose_log_format("json")
from prefect import get_client
from prefect.logging import get_logger
get_logger().warning("from http://ann:pw@host/?key=hidden")
logging.getLogger("a.library").error("lost", exc_info=ValueError("a\\nb"))
warnings.warn("careful")
"""


def documents(stderr: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stderr.splitlines()]


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    ours = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])} | environment
    return subprocess.run([sys.executable, *arguments], env=ours, capture_output=True, text=True, check=False)


def test_prefect_and_libraries_too_write_documents(tmp_path: Path) -> None:
    done = python("-c", OTHERS, PREFECT_HOME=str(tmp_path))
    first, second, third = documents(done.stderr)
    assert (first["level"], first["message"]) == ("warning", "from http://host/?key=REMOVED")
    assert second["level"] == "error"
    assert second["message"].startswith("lost\nValueError: a\nb")
    assert third["level"] == "warning"
    assert "careful" in third["message"]


def test_a_run_that_fails_says_so_in_a_document_that_names_the_recipe(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/api"
    options = ["run", "digits", "--home", str(tmp_path / "home"), "--log-format", "json", "--debug"]
    done = python("-m", "thaw.flows.cli", *options, PREFECT_HOME=str(tmp_path), PREFECT_API_URL=url)
    *before, last = documents(done.stderr)
    assert (done.returncode, done.stdout) == (1, "")
    assert [line["message"].split()[0] for line in before] == ["recipe", "starting"]
    assert (last["level"], last["recipe"]) == ("error", "digits")
    assert last["message"].startswith(f"Prefect's server at {url} cannot be reached")
    assert last["traceback"].startswith("Traceback")


def test_the_log_is_printed_for_people_and_for_programs(tmp_path: Path) -> None:
    write(tmp_path, "epoch 1 of 2")
    as_text, as_json = (
        CliRunner().invoke(app, ["logs", *options, "--home", str(tmp_path)], catch_exceptions=False).stdout
        for options in ([RUN[:8]], ["--json"])
    )
    assert as_text.split(maxsplit=2)[2] == "stage_one     epoch 1 of 2\n"
    (line,) = documents(as_json)
    assert (line["task"], line["message"]) == ("stage_one", "epoch 1 of 2")


def test_gc_removes_logs_that_are_old_and_nothing_else_beside_them(tmp_path: Path) -> None:
    old, young = str(UUID(int=1)), str(UUID(int=2))
    write(tmp_path, "old", run=old)
    (tmp_path / "runs" / "logs" / "notes").mkdir()
    homes.let_time_pass(tmp_path)
    write(tmp_path, "young", run=young)
    limits = Limits(keep_releases=3, young_after=homes.LONG_AGO + homes.DAY)
    collected = collect_garbage(Home.open(tmp_path), limits, dry_run=False)
    assert [(item.kind, item.name) for item in collected.garbage] == [("log", old)]
    assert {path.name for path in (tmp_path / "runs" / "logs").iterdir()} == {"notes", young}
