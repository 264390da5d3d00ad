"""A home folder that cannot be written ends a run before anything is done, with a line that says so."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.prefect_server import Thaw
from tests.support import write_pictures

_DROP_FROM_BOUNDING_SET, _MAY_WRITE_ANYWHERE = 24, 1  # PR_CAPBSET_DROP, CAP_DAC_OVERRIDE in linux/*.h


def obey_permissions() -> None:
    """Let the program that this process becomes respect permissions, also as root."""
    if os.geteuid() == 0:
        ctypes.CDLL(None).prctl(_DROP_FROM_BOUNDING_SET, _MAY_WRITE_ANYWHERE, 0, 0, 0)


@pytest.mark.skipif(sys.platform != "linux" and os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("is_there", [True, False])
def test_a_run_ends_at_once(thaw_without_server: Thaw, tmp_path: Path, is_there: bool) -> None:
    write_pictures(tmp_path / "data")
    place = tmp_path / "place"
    home = place / "home"
    home.mkdir(parents=True) if is_there else place.mkdir()
    (home if is_there else place).chmod(0o555)
    done = subprocess.run(
        [sys.executable, "-m", "thaw.flows.cli", "run", "digits", "--data", tmp_path / "data", "--home", home],
        env=thaw_without_server.environment,
        preexec_fn=obey_permissions,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    (home if is_there else place).chmod(0o755)
    assert done.returncode == 1
    assert f"Home folder {home} cannot be written: Permission denied" in done.stderr.splitlines()[-1]
    assert "starting Prefect" not in done.stderr
    assert list(place.rglob("*")) == ([home] if is_there else [])


@pytest.fixture
def thaw_without_server(tmp_path: Path) -> Thaw:
    """The command, in a place where there is no Prefect to talk to."""
    environment = os.environ | {
        "PREFECT_API_URL": "http://127.0.0.1:1/api",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    return Thaw(environment, tmp_path)
