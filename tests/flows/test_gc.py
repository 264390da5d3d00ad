"""`thaw gc` as a user sees it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.cleanup import homes
from thaw.flows.cli import app
from thaw.pipeline_config.errors import HomeInUseError
from thaw.tasks.artifacts.in_use import home_in_use


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A champion, and an old run that was worse."""
    folder = tmp_path / "home"
    homes.run(folder, "digits", "champion", 0.9)
    homes.run(folder, "digits", "worse", 0.1)
    homes.let_time_pass(folder)
    return folder


def gc(home: Path, *options: str) -> str:
    done = CliRunner().invoke(app, ["gc", "--home", str(home), *options], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_table_says_what_goes_and_why_and_what_it_frees(home):
    before = homes.files_in(home)
    planned = gc(home, "--keep-releases", "0", "--dry-run").splitlines()
    assert homes.files_in(home) == before
    done = gc(home, "--keep-releases", "0").splitlines()
    assert planned[:-1] == done[:-1]
    assert (planned[-1].split(":")[0], done[-1].split(":")[0]) == ("would free", "freed")
    assert done[0].split() == ["kind", "name", "MB", "why", "it", "can", "go"]
    (release,) = [line for line in done if line.startswith("release ")]
    assert "not in use" in release
    assert sum(line.startswith("artifact ") for line in done) == 4  # the stage, its evaluation, verdict and release
    assert [line.split("MB")[0].split()[2] for line in done if line.startswith("key record")] == ["4"]
    assert gc(home, "--keep-releases", "0") == "freed: 0.0 MB\n"


def test_json_is_one_document_with_every_path(home):
    document = json.loads(gc(home, "--keep-releases", "0", "--json"))
    assert document["bytes"] == sum(item["bytes"] for item in document["garbage"])
    assert document["bytes"] > 0
    assert not document["dry_run"]
    assert not any(Path(item["path"]).exists() for item in document["garbage"])
    assert {item["kind"] for item in document["garbage"]} == {
        "release", "run record", "Prefect record", "key record", "artifact"
    }  # fmt: skip


def test_without_options_the_last_releases_and_a_month_stay(home):
    assert gc(home) == "freed: 0.0 MB\n"  # 3 releases are kept
    for tag in "abc":
        homes.run(home, "digits", tag, 0.2)
    assert len(homes.releases_in(home)) == 5
    homes.let_time_pass(home)
    gc(home)
    assert len(homes.releases_in(home)) == 4  # and the champion


def test_a_warning_is_a_line_on_stderr(home):
    (home / "keys").rename(home / "lost")
    for path in (home / "artifacts" / "stage").glob("*/manifest.json"):
        path.write_text("{")
    homes.let_time_pass(home)
    done = CliRunner().invoke(app, ["gc", "--home", str(home), "--json"], catch_exceptions=False)
    assert json.loads(done.stdout)["warnings"]
    assert all(line.startswith("thaw: warning: ") for line in done.stderr.splitlines())
    assert "no artifact is removed" in done.stderr


def test_a_run_that_goes_on_and_a_wrong_age_are_one_line_and_an_exit_code(home):
    command = [sys.executable, "-m", "thaw.flows.cli", "gc", "--home", str(home)]
    with home_in_use(home):
        busy = subprocess.run(command, capture_output=True, text=True, check=False)
    assert busy.returncode == HomeInUseError.exit_code == 1
    assert busy.stderr == f"thaw: A run is going on in the home folder {home}; try again when it has ended.\n"
    wrong = subprocess.run([*command, "--older-than", "30"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("thaw: --older-than must be a whole number and a unit: ")


def test_a_clean_up_needs_nothing_heavy() -> None:
    script = (
        "import sys\nimport thaw.flows.commands.gc\n"
        "print([name for name in ('prefect', 'tensorflow', 'keras', 'sklearn', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_up_to_date_run_is_a_recent_one(home):
    run = homes.run(home, "digits", "worse", 0.1)
    homes.let_time_pass(home)
    assert run.is_up_to_date(home)  # as `thaw run` asks
    assert (home / "runs" / f"{run.last_key}.json").stat().st_mtime > homes.LONG_AGO
    gc(home, "--keep-releases", "0")
    assert run.is_up_to_date(home)


def test_a_clock_that_was_set_back_makes_nothing_older(home):
    run = homes.run(home, "digits", "worse", 0.1)
    record = home / "runs" / f"{run.last_key}.json"
    os.utime(record, (4e9, 4e9))
    assert run.is_up_to_date(home)
    assert record.stat().st_mtime == 4e9
