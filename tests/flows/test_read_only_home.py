"""A home folder on a file system that cannot be written: a plan works, and a run says so before any work."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import WalkHere, small_recipe, write_pictures
from thaw.flows.graph import PREPARATION
from thaw.pipeline_config.yaml_dialect import write_yaml
from thaw.tasks.artifacts.file_digests import FileDigests

# In mounts of its own, which end with the process. Permissions would not do: root may write everywhere.
_READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'


def with_read_only(home: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", _READ_ONLY, str(home), *command],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A recipe, and a home in which its dataset is."""
    (tmp_path / "home").mkdir()
    try:
        allowed = with_read_only(tmp_path / "home", "true").returncode == 0
    except FileNotFoundError:
        allowed = False
    if not allowed:
        pytest.skip("only root may mount, and only on Linux")
    recipe = small_recipe(write_pictures(tmp_path / "data", each=20))
    (tmp_path / "small.yaml").write_text(write_yaml(recipe.model_dump(mode="json", by_alias=True)))
    WalkHere(recipe, tmp_path / "home").go(PREPARATION[:1])
    return tmp_path


def thaw(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    options = [str(place / "small.yaml"), "--home", str(place / "home")]
    return with_read_only(place / "home", sys.executable, "-m", "thaw.flows.cli", *arguments, *options)


def test_a_plan_works_and_remembers_nothing(place: Path) -> None:
    done = thaw(place, "plan", "--json")
    assert done.returncode == 0, done.stderr
    assert [task["name"] for task in json.loads(done.stdout) if task["cached"]] == ["ingest"]


def test_a_plan_works_with_a_memory_that_has_to_be_written(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thaw.tasks.artifacts.file_digests._SETTLED_AFTER_NS", 0)
    FileDigests(place / "home").sha256_of([place / "small.yaml"])
    done = thaw(place, "plan", "--json")
    assert done.returncode == 0, done.stderr
    verified = thaw(place, "plan", "--verify")
    assert verified.returncode == 1
    assert "file-digests.sqlite cannot be removed: Read-only file system" in verified.stderr


def test_a_run_says_so_before_any_work(place: Path) -> None:
    done = thaw(place, "run")
    assert done.returncode == 1
    assert done.stderr == (
        f"thaw: Home folder {place / 'home'} cannot be written: Read-only file system. Choose another with --home.\n"
    )
