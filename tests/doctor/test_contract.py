"""What holds for every check of `thaw doctor`: short lines, a remedy where something is wrong, and nothing changed."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cleanup.homes import files_in
from tests.support import small_recipe, write_pictures
from thaw.flows.doctor.base import Check, Finding, Here
from thaw.flows.doctor.members import CHECKS
from thaw.tasks.home import Home

ROOT = Path(__file__).parents[2]
HEAVY = ("tensorflow", "keras", "prefect", "sqlalchemy", "uvicorn", "fastapi", "numpy")


def assert_well_formed(finding: Finding) -> None:
    assert finding.text
    assert finding.text.isprintable()
    assert len(f"{finding.text} {finding.remedy}") < 500
    assert bool(finding.remedy) == (finding.level != "ok")
    assert finding.level == "ok" or finding.remedy.endswith(".")


def test_every_check_has_a_name_of_its_own() -> None:
    names = [check.name for check in CHECKS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("check", [check for check in CHECKS if check.name != "computing"], ids=lambda one: one.name)
def test_where_all_is_well_a_check_finds_no_error_and_changes_nothing(
    check: Check, named: bool, there: bool, tmp_path: Path
) -> None:
    home = tmp_path / "deep" / "home"
    if there:
        home.mkdir(parents=True)
        Home.open(home).state_layout()
    recipe = small_recipe(write_pictures(tmp_path / "data", each=1)) if named else None
    before = files_in(tmp_path)
    found = list(check.examine(Here(home, recipe)))
    assert found
    for finding in found:
        assert_well_formed(finding)
        assert finding.level != "error"
    assert files_in(tmp_path) == before
    assert home.exists() == there


def test_what_is_large_is_imported_only_when_a_check_is_asked() -> None:
    script = f"import sys, thaw.flows.commands.doctor\nprint([name for name in {HEAVY!r} if name in sys.modules])"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def doctor(*arguments: str, folder: Path, path: Path = ROOT) -> tuple[int, dict[str, dict[str, Any]]]:
    """Call the command as a user does: its exit code, and the last finding of each check."""
    done = subprocess.run(
        [sys.executable, "-m", "thaw.flows.cli", "doctor", *arguments, "--json"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": f"{path}{os.pathsep}{ROOT}", "PREFECT_HOME": str(folder / "prefect")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    found = json.loads(done.stdout)
    for finding in found:
        assert_well_formed(Finding.model_validate(finding))
    return done.returncode, {finding["check"]: finding for finding in found}


def test_the_command_says_that_all_is_well_and_what_tensorflow_computes_on(tmp_path: Path) -> None:
    code, found = doctor("digits", folder=tmp_path)
    assert (code, list(found)) == (0, [check.name for check in CHECKS])
    assert found["computing"]["text"].startswith("TensorFlow 2.")
    assert {path.name for path in tmp_path.iterdir()} <= {"prefect"}  # which Prefect makes as it is imported


@pytest.mark.slow
def test_the_command_ends_with_1_where_a_gpu_is_asked_for_that_is_not_there(tmp_path: Path) -> None:
    code, found = doctor("digits", "--set", "devices=[7]", folder=tmp_path)
    assert (code, found["computing"]["level"]) == (1, "error")
    assert found["computing"]["text"].startswith("devices: there is no GPU 7.")


def test_the_command_ends_with_1_where_tensorflow_cannot_be_imported(tmp_path: Path) -> None:
    (tmp_path / "broken" / "tensorflow").mkdir(parents=True)
    (tmp_path / "broken" / "tensorflow" / "__init__.py").write_text("raise ImportError('no libcuda here')")
    code, found = doctor(folder=tmp_path, path=tmp_path / "broken")
    assert (code, found["computing"]["level"]) == (1, "error")
    assert "no libcuda here" in found["computing"]["text"]
