"""An installed thaw is one package. It takes nothing from a user's folders of the same names, nor hides them."""

import json
import os
import signal
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from dataclasses import dataclass
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

from tests.flows.test_serve import last_state
from tests.flows.waiting import wait_for
from tests.prefect_server import Thaw
from tests.support import small_recipe, write_pictures
from thaw.pipeline_config.yaml_dialect import write_yaml

ROOT = Path(__file__).parents[2]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
INFO = f"thaw-{VERSION}.dist-info"
PACKAGES = ("flows", "tasks", "pipeline_config")
SMALL = ["--set", "stage_one.epochs=1", "--set", "stage_two.epochs=1"]

# What imports it leaves a file that says so.
THEIRS = "import pathlib\npathlib.Path(__file__).with_suffix('.imported').touch()\nWHOSE = 'theirs'\n"
# `thaw serve` reads none of it, and `prefect deploy` would.
PREFECT_YAML = """
name: theirs
pull:
  - prefect.deployments.steps.set_working_directory: {directory: nowhere}
deployments:
  - {name: theirs, entrypoint: "flows/theirs.py:flow"}
"""


def build(root: Path, kind: str, folder: Path) -> Path:
    command = [sys.executable, "-P", "-m", "hatchling", "build", "--target", kind, "--directory", str(folder)]
    subprocess.run(command, cwd=root, check=True, capture_output=True)
    (made,) = folder.iterdir()
    return made


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as file:
        names = file.namelist()
        assert len(names) == len(set(names))
        return {name: file.read(name) for name in names}


def without_bytecode(folder: Path) -> set[str]:
    paths = [path for path in folder.rglob("*") if path.is_file() and path.parent.name != "__pycache__"]
    return {path.relative_to(ROOT).as_posix() for path in paths}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, "wheel", tmp_path_factory.mktemp("wheel"))


@dataclass(frozen=True)
class Installed:
    """An environment with an installed thaw."""

    folder: Path

    def __call__(self, *words: str | Path, cwd: Path, **environment: str) -> str:
        done = subprocess.run(
            [str(self.folder / "bin" / words[0]), *map(str, words[1:])],
            cwd=cwd,
            env=without_pythonpath() | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


def without_pythonpath() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Install the wheel in an environment that holds the lock's versions and no thaw.

    Its libraries are links to those of the environment that runs the tests, which `make setup` makes from the lock: so
    it takes seconds, needs neither the network nor a filled cache, and pip, which is not told to leave out the
    requirements and may not fetch any, accepts the wheel only where the lock has what it asks for.
    """
    folder: Path = tmp_path_factory.mktemp("installed") / "environment"
    venv.create(folder, with_pip=True)
    for key in ("purelib", "platlib"):
        ours = Path(sysconfig.get_path(key, "venv", {"base": str(folder), "platbase": str(folder)}))
        for entry in Path(sysconfig.get_path(key)).iterdir():
            if "thaw" not in entry.name and not (ours / entry.name).exists():
                (ours / entry.name).symlink_to(entry)
    environment = Installed(folder)
    no_network = ["--no-index", "--disable-pip-version-check"]
    environment("python", "-m", "pip", "install", "--quiet", *no_network, wheel, cwd=folder)
    return environment


@pytest.fixture
def users(tmp_path: Path) -> Path:
    """A Prefect user's folder, with names that are ours, too, and a recipe."""
    folder = tmp_path / "users"
    for name in PACKAGES:
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(THEIRS)
    (folder / "thaw.py").write_text(THEIRS)
    (folder / "prefect.yaml").write_text(PREFECT_YAML)
    write_pictures(folder / "data", each=20)
    recipe = small_recipe(folder / "data", name="small").model_dump(mode="json", by_alias=True)
    (folder / "small.yaml").write_text(write_yaml(recipe))
    return folder


def test_the_wheel_holds_the_package_and_nothing_beside_it(wheel: Path) -> None:
    names = set(contents(wheel))
    ours = {name for name in names if name.startswith("thaw/")}
    about = ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")
    assert names - ours == {f"{INFO}/{name}" for name in about}
    in_folders = set().union(*(without_bytecode(ROOT / name) for name in PACKAGES))
    assert ours == {"thaw/__init__.py", *(f"thaw/{name}" for name in in_folders)}
    assert {Path(name).suffix for name in ours} == {".py", ".yaml", ".j2"}


def test_the_wheel_says_what_it_is_and_what_it_needs(wheel: Path) -> None:
    files = contents(wheel)
    metadata: Message = Parser().parsestr(files[f"{INFO}/METADATA"].decode())
    assert (metadata["Name"], metadata["License-Expression"]) == ("thaw", "Apache-2.0")
    assert metadata["Requires-Python"] == "<3.14,>=3.11"
    assert str(metadata.get_payload()).strip() == (ROOT / "README.md").read_text().strip()
    assert files[f"{INFO}/licenses/LICENSE"] == (ROOT / "LICENSE").read_bytes()
    assert files[f"{INFO}/entry_points.txt"].split(b"\n")[1] == b"thaw = thaw.flows.main:main"


def test_the_source_distribution_makes_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    with tarfile.open(build(ROOT, "sdist", tmp_path / "sdist")) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.glob("thaw-*")
    assert contents(build(source, "wheel", tmp_path / "wheel")) == contents(wheel)


def test_the_environment_of_the_tests_too_has_one_package_of_ours(tmp_path: Path) -> None:
    program = f"import importlib.util; print([importlib.util.find_spec(name) for name in {PACKAGES}])"
    command = [sys.executable, "-c", f"import thaw.flows, thaw.tasks, thaw.pipeline_config; {program}"]
    done = subprocess.run(command, cwd=tmp_path, env=without_pythonpath(), capture_output=True, text=True, check=True)
    assert done.stdout == "[None, None, None]\n"


def test_a_user_imports_packages_of_their_own_and_the_command_imports_ours(installed: Installed, users: Path) -> None:
    for name in PACKAGES:
        assert installed("python", "-c", f"import {name}; print({name}.WHOSE)", cwd=users) == "theirs"
        (users / name / "__init__.imported").unlink()
    assert installed("thaw", "--version", cwd=users) == f"thaw {VERSION}"
    assert "digits " in installed("thaw", "recipes", cwd=users)
    planned = json.loads(installed("thaw", "plan", "small.yaml", "--json", cwd=users))
    assert planned[0] | {"name": "ingest", "cached": False} == planned[0]
    assert list(users.rglob("*.imported")) == []


@pytest.mark.slow
def test_a_run_in_a_users_folder_imports_nothing_of_theirs(installed: Installed, users: Path) -> None:
    prefect = {"PREFECT_HOME": str(users / ".prefect")}
    result = json.loads(installed("thaw", "run", "small.yaml", "--json", *SMALL, cwd=users, **prefect))
    assert result["verdict"] == "first"
    assert list(users.rglob("*.imported")) == []


@pytest.mark.slow
def test_a_served_run_in_a_users_folder_imports_nothing_of_theirs(
    installed: Installed, users: Path, prefect_server: dict[str, str]
) -> None:
    environment = {name: value for name, value in prefect_server.items() if name != "PYTHONPATH"}
    server = subprocess.Popen([installed.folder / "bin" / "thaw", "serve", "small.yaml"], cwd=users, env=environment)
    thaw = Thaw(environment, users)
    try:
        query = {"deployments": {"name": {"any_": ["small"]}}}
        (deployment,) = wait_for(lambda: thaw.api("deployments/filter", query), 90)
        run = thaw.api(f"deployments/{deployment['id']}/create_flow_run", {})
        assert last_state(thaw, run["id"]) == "COMPLETED"
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=60)
    assert "small" in installed("thaw", "releases", "list", cwd=users)
    assert list(users.rglob("*.imported")) == []
