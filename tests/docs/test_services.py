"""What docs/services.md says works: its units, PostgreSQL, copies made while a run goes on, the errors."""

import contextlib
import json
import os
import pwd
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT
from tests.prefect_server import Thaw, running_server
from tests.support import small_recipe, write_pictures
from thaw.pipeline_config import errors
from thaw.pipeline_config.yaml_dialect import write_yaml

UNITS = sorted((ROOT / "docs" / "systemd").iterdir())
PAGE = (ROOT / "docs" / "services.md").read_text(encoding="utf-8")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for unit in UNITS:
        text = re.sub(r"(?<=ExecStart=)\S+", str(program), unit.read_text())
        (tmp_path / unit.name).write_text(text)
    units = [tmp_path / unit.name for unit in UNITS]
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_units_call_commands_that_there_are() -> None:
    called = [re.search(r"ExecStart=/srv/thaw/\.venv/bin/(\S+) (\S+)", unit.read_text()) for unit in UNITS]
    assert [match.groups() for match in called if match] == [
        ("prefect", "server"),
        ("thaw", "serve"),
    ]


def test_every_error_has_its_row_and_its_exit_code() -> None:
    rows = dict(re.findall(r"^\| `(\w+Error)` \| (\d) \|", PAGE, re.MULTILINE))
    found = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, errors.ThawError)]
    assert rows == {each.__name__: str(each.exit_code) for each in found if each is not errors.ThawError}


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    write_pictures(tmp_path / "data", each=20)
    path = tmp_path / "small.yaml"
    path.write_text(write_yaml(small_recipe(tmp_path / "data").as_written()))
    return path


@pytest.mark.slow
def test_a_copy_that_was_made_while_a_run_went_on_can_be_used_and_finished(
    thaw: Thaw, recipe: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    run = thaw.start("run", recipe, "--home", home, "--json")
    copies: list[Path] = []
    while run.poll() is None:
        if home.exists():
            copies.append(tmp_path / f"copy-{len(copies)}")
            # A file may go between being listed and being copied, as tar says, too.
            subprocess.run(["cp", "--recursive", home, copies[-1]], capture_output=True, check=False)
        wait(run, seconds=2)
    done, complaint = run.communicate()
    assert run.returncode == 0, complaint
    release = json.loads(done)["release"]["id"]
    assert len(copies) >= 3
    for copy in copies[1 :: len(copies) // 3]:
        listed = thaw("releases", "list", "--home", copy, "--json")
        assert listed.returncode == 0, listed.stderr
        again = thaw("run", recipe, "--home", copy, "--json")
        assert json.loads(again.stdout)["release"]["id"] == release, again.stderr


def wait(run: subprocess.Popen[str], *, seconds: float) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        run.wait(timeout=seconds)


@pytest.mark.slow
def test_the_releases_alone_are_enough_to_go_on_with(thaw: Thaw, recipe: Path, tmp_path: Path) -> None:
    first = thaw("run", recipe, "--home", tmp_path / ".thaw", "--json")
    made = json.loads(first.stdout)["release"]
    archive, restored = tmp_path / "thaw-home.tar.gz", tmp_path / "restored"
    restored.mkdir()
    pack, unpack = re.findall(r"^tar (.*)$", PAGE, re.MULTILINE)
    subprocess.run(["tar", *pack.split()], cwd=tmp_path, check=True)
    subprocess.run(["tar", *unpack.replace(archive.name, str(archive)).split()], cwd=restored, check=True)
    home = restored / ".thaw"
    (champion,) = json.loads(thaw("releases", "list", "--home", home, "--json").stdout)
    assert (champion["id"], champion["is_champion"]) == (made["id"], True)
    photo = next((tmp_path / "data").glob("red/*.png"))
    answered = thaw("predict", "--home", home, photo)
    assert answered.returncode == 0, answered.stderr
    again = json.loads(thaw("run", recipe, "--home", home, "--json").stdout)
    assert again["release"]["id"] == made["id"]
    assert not any(task["cached"] for task in again["tasks"])


@pytest.fixture
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an empty database of a PostgreSQL that lasts as long as the test."""
    if shutil.which("pg_ctl") is None or shutil.which("initdb") is None:
        pytest.skip("there is no PostgreSQL here")
    folder = Path("/tmp") / f"thaw-postgres-{os.getpid()}"  # a socket's path may have 100 bytes
    folder.mkdir()
    as_user: list[str] = []
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        user = pwd.getpwnam("postgres")
        os.chown(folder, user.pw_uid, user.pw_gid)
        as_user = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data, options = folder / "data", f"-p {port} -k {folder} -h 127.0.0.1"
    control = [*as_user, "pg_ctl", "--pgdata", str(data), "--wait"]
    subprocess.run([*as_user, "initdb", "--auth=trust", "-U", "thaw", "-D", data], cwd=folder, check=True)
    subprocess.run([*control, "-l", str(folder / "log"), "-o", options, "start"], cwd=folder, check=True)
    try:
        yield f"postgresql+asyncpg://thaw@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run([*control, "--mode=fast", "stop"], cwd=folder, check=True)
        shutil.rmtree(folder)


@pytest.mark.slow
def test_prefects_server_may_keep_its_records_in_postgresql(postgres: str, recipe: Path, tmp_path: Path) -> None:
    with running_server(tmp_path / "prefect", PREFECT_SERVER_DATABASE_CONNECTION_URL=postgres) as environment:
        thaw = Thaw(environment, tmp_path)
        done = thaw("run", recipe, "--home", tmp_path / "home", "--json")
        assert done.returncode == 0, done.stderr
        (run,) = thaw.api("flow_runs/filter", {})
        assert (run["id"], run["state_name"]) == (json.loads(done.stdout)["run"], "Promoted")
        assert not list((tmp_path / "prefect").glob("*.db")), "it was in SQLite"
