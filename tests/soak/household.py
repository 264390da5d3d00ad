"""A Prefect server and a `thaw serve`, started again whenever they end, as systemd would; and what kills them."""

import contextlib
import os
import random
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import psutil

from tests.prefect_server import Thaw

_MARK = "THAW_TEST_HOUSEHOLD"  # in the environment of each of its processes, and of no other
_CLEAN_UP = ("--gc", "*/5 * * * *")
_ROOT = Path(__file__).parents[2]


class Household:
    """The processes of a served recipe; a context manager that leaves none behind."""

    def __init__(self, folder: Path, recipe: Path, home: Path) -> None:
        """Nothing is started yet; the folder is for Prefect's home and the logs."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self.folder, self._recipe, self._home = folder, recipe, home
        self.environment = {
            **os.environ,
            _MARK: str(folder),
            "PREFECT_HOME": str(folder / "prefect"),
            "PREFECT_API_URL": f"http://127.0.0.1:{self._port}/api",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "5",
            "PYTHONPATH": str(_ROOT),
        }
        self.thaw = Thaw(self.environment, folder)
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        """Start both."""
        self.keep_up()
        return self

    def __exit__(self, *of_the_block: object) -> None:
        """Kill what is left."""
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        for started in self._running.values():
            started.wait(timeout=30)

    def keep_up(self) -> None:
        """Start what is not running. The server answers when this returns; `thaw serve` needs that."""
        self._start_if_gone("server", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(self._port))
        wait_until(self._server_answers, 120, "the server's answer")
        self._start_if_gone(
            "serve", "thaw.flows.cli", "serve", str(self._recipe), *_CLEAN_UP, "--home", str(self._home)
        )

    def stop_serving(self) -> None:
        """End `thaw serve` as a service manager does."""
        serve = self._running.pop("serve")
        serve.terminate()
        serve.wait(timeout=120)

    def stop_server(self) -> None:
        """End the server as a service manager does."""
        server = self._running.pop("server")
        server.terminate()
        server.wait(timeout=60)

    def processes(self) -> list[psutil.Process]:
        """All that were started here, and what those have started."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get(_MARK) == str(self.folder) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def kill(self, kind: str, choose: random.Random) -> bool:
        """Kill one process of a kind without a warning, if there is one."""
        victims = list(self._victims(kind))
        if not victims:
            return False
        with contextlib.suppress(psutil.NoSuchProcess):
            choose.choice(victims).kill()
            return True
        return False

    def _victims(self, kind: str) -> Iterator[psutil.Process]:
        if kind in self._running:
            yield psutil.Process(self._running[kind].pid)
            return
        runs = [process for process in self.processes() if _is_run(process)]
        for run in runs:
            with contextlib.suppress(psutil.NoSuchProcess):
                yield from [run] if kind == "run" else run.children(recursive=True)

    def _start_if_gone(self, name: str, module: str, *arguments: str) -> None:
        running = self._running.get(name)
        if running is not None and running.poll() is None:
            return
        with (self.folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                env=self.environment,
                cwd=self.folder,
                stdout=log,
                stderr=log,
            )

    def _server_answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.environment['PREFECT_API_URL']}/health", timeout=5):
                return True
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False


def _is_run(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return any(part.startswith("prefect.") and part.endswith("engine") for part in process.cmdline())
    return False


def wait_until(condition: Callable[[], Any], seconds: float, words: str) -> Any:
    """Ask every second until there is an answer; the words say for the message what was waited for."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain for {words}"
        time.sleep(1)
    return found
