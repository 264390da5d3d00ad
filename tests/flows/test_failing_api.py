"""What is shown in the Prefect UI never ends what is done, and a step that takes too long is not done again."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.api_proxy import REFUSALS, proxied
from tests.prefect_server import Thaw


def start(environment: dict[str, str], home: Path, *, seconds: float, deadline: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.one_task_flow", str(home), str(seconds), str(deadline)],
        env=environment,
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def outcome(process: subprocess.Popen[str]) -> dict[str, Any]:
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    found: dict[str, Any] = json.loads(stdout)
    return found


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_task_completes_though_the_api_fails_in_its_middle(thaw: Thaw, tmp_path: Path, refusal: str) -> None:
    # Logs alone, while all else works, Prefect would try to send for two minutes after the end.
    paths = ["/api/artifacts"] if refusal == "closes" else ["/api/artifacts", "/api/logs"]
    with proxied(thaw.environment["PREFECT_API_URL"], refusal, *paths) as proxy:
        environment = thaw.environment | {"PREFECT_API_URL": f"http://127.0.0.1:{proxy.port}/api"}
        process = start(environment, tmp_path / "home", seconds=3, deadline=100)
        until = time.monotonic() + 60
        while not any(b"artifacts" in request for request in proxy.passed):
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
        proxy.refuses.set()
        ended = outcome(process)
    assert (ended["state"], ended["attempts"]) == ("COMPLETED", 1)
    (warning,) = ended["warnings"]
    assert warning.startswith("The Prefect UI does not show its progress; the work goes on. ")
    assert len([request for request in proxy.asked if b"artifacts" in request]) == 1


def test_a_step_that_passes_its_deadline_is_not_tried_again(thaw: Thaw, tmp_path: Path) -> None:
    ended = outcome(start(thaw.environment, tmp_path / "home", seconds=60, deadline=1))
    assert ended == {"state": "FAILED", "error": "DeadlineError", "attempts": 1, "warnings": []}
