"""The command itself: quick help, and nothing heavy imported before it is needed."""

import subprocess
import sys
from importlib import metadata

import pytest

from thaw.pipeline_config.loading import shipped_recipes

HEAVY = ("prefect", "tensorflow", "keras", "sqlalchemy", "numpy", "pyarrow", "PIL")


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["releases", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    script = (
        "import sys\nfrom thaw.flows.cli import app\n"
        f"try:\n    app({arguments!r})\nexcept SystemExit as end:\n    assert end.code == 0\n"
        f"print('HEAVY', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "HEAVY []"


def test_a_flow_process_does_not_import_tensorflow() -> None:
    script = (
        "import sys\nimport thaw.flows.retrain, thaw.flows.deployments, thaw.flows.predict\n"
        "print([name for name in ('tensorflow', 'keras') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_a_plan_imports_nothing_heavy() -> None:
    script = (
        "import sys\nimport thaw.flows.commands.plan, thaw.flows.commands.run\n"
        f"print([name for name in {(*HEAVY, 'sklearn', 'scipy')!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"


def thaw(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "thaw.flows.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_version_is_the_one_of_the_distribution() -> None:
    assert thaw("--version").stdout == f"thaw {metadata.version('thaw')}\n"


def test_an_error_has_a_traceback_only_with_debug() -> None:
    plain, with_debug = thaw("run", "nope"), thaw("run", "nope", "--debug")
    assert plain.returncode == with_debug.returncode == 2
    assert "Traceback" not in plain.stderr
    assert "Traceback" in with_debug.stderr
    assert plain.stderr.splitlines()[-1] == with_debug.stderr.splitlines()[-1]


def test_recipes_are_listed_one_a_line() -> None:
    lines = thaw("recipes").stdout.splitlines()
    assert [line.split()[0] for line in lines] == sorted(shipped_recipes())
    assert all(len(line.split()) > 5 for line in lines)
