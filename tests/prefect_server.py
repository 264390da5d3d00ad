"""A Prefect server for the tests of the command, and a way to call the command as a user does."""

import contextlib
import http
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tenacity import retry, retry_if_exception, stop_after_delay, wait_fixed


def _is_busy(error: BaseException) -> bool:
    return isinstance(error, urllib.error.HTTPError) and error.code == http.HTTPStatus.SERVICE_UNAVAILABLE


@dataclass(frozen=True)
class Thaw:
    """Calls `thaw` in a process of its own, against a running Prefect server."""

    environment: dict[str, str]
    folder: Path

    def __call__(self, *arguments: str | Path, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "thaw.flows.cli", *map(str, arguments)],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "thaw.flows.cli", *map(str, arguments)],
            env=self.environment,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    # The database of a server that many ask may be locked for a moment; Prefect's own clients ask again, too.
    @retry(retry=retry_if_exception(_is_busy), stop=stop_after_delay(60), wait=wait_fixed(0.5), reraise=True)
    def api(self, path: str, body: dict[str, Any], method: str = "POST") -> Any:
        request = urllib.request.Request(
            f"{self.environment['PREFECT_API_URL']}/{path}",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.loads(response.read() or "null")


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a process that uses a server which the tests started."""
    with running_server(tmp_path_factory.mktemp("prefect")) as environment:
        yield environment


@contextlib.contextmanager
def running_server(home: Path, **settings: str) -> Iterator[dict[str, str]]:
    """Run a server for the length of a block, with further settings of Prefect's: the environment of its users."""
    home.mkdir(exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "2",
        **settings,
        "PYTHONPATH": str(Path(__file__).parents[1]),
    }
    with (home / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)],
            env=environment,
            stdout=log,
            stderr=log,
        )
        try:
            _wait_until_healthy(f"{environment['PREFECT_API_URL']}/health", server)
            yield environment
        finally:
            server.terminate()
            server.wait(timeout=30)


@pytest.fixture(scope="session")
def thaw(prefect_server: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Thaw:
    return Thaw(prefect_server, tmp_path_factory.mktemp("here"))


def _wait_until_healthy(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert server.poll() is None, "the Prefect server ended"
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.5)
    raise AssertionError("the Prefect server did not start in 120 s")
