"""What the benchmarks share: a command and what its processes take, a Prefect server to run against, and the report."""

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import typer
from rich.console import Console
from rich.table import Table

from thaw.pipeline_config.errors import ThawError

ROOT = Path(__file__).parents[1]
THAW = (sys.executable, "-m", "thaw.flows.cli")
CONSOLE = Console(stderr=True, highlight=False)
MEGABYTE = 10**6
_SECONDS_TO_START = 180
_SECONDS_BETWEEN_SAMPLES = 0.25  # a sample takes some 5 ms


@dataclass
class Memory:
    """The most that processes held at one time, in bytes, as samples saw it.

    Attributes:
        resident: Bytes in memory, with the pages of files that are mapped, which the kernel may take back at any time.
        own: Those without a file: what only the process itself can give back.
    """

    resident: int = 0
    own: int = 0

    def see(self, resident: int, own: int) -> None:
        self.resident, self.own = max(self.resident, resident), max(self.own, own)


@dataclass
class Measured:
    """What a command took.

    Attributes:
        seconds: Wall time.
        cpu_seconds: Of its process and of all that it started and waited for.
        output: Its standard output.
        largest: The most that one of its processes held.
        sum: The most that all of them held at one time; what they share counts once for each.
        roles: The most that a process of each kind held: "command", "server", "step …" with its function, or "other".
    """

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    output: str = ""
    largest: Memory = field(default_factory=Memory)
    sum: Memory = field(default_factory=Memory)
    roles: dict[str, Memory] = field(default_factory=dict)

    def document(self) -> dict[str, float]:
        return {
            "seconds": round(self.seconds, 3),
            "cpu_seconds": round(self.cpu_seconds, 3),
            "largest_process_bytes": self.largest.resident,
            "all_processes_bytes": self.sum.resident,
        }


def run_measured(command: Sequence[str], environment: dict[str, str]) -> Measured:
    """Run a command to its end, in the project's folder.

    Args:
        command: The command and its arguments.
        environment: The command's environment, whole.

    Returns:
        What it took.

    Raises:
        SystemExit: It failed; what it wrote to standard error is the message.
    """
    measured, started = Measured(), time.monotonic()
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=output, stderr=errors)
        ended = threading.Event()
        sampler = threading.Thread(target=_sample_until, args=(ended, process.pid, measured), daemon=True)
        sampler.start()
        _, status, usage = os.wait4(process.pid, 0)
        measured.seconds = time.monotonic() - started
        measured.cpu_seconds = usage.ru_utime + usage.ru_stime
        process.returncode = os.waitstatus_to_exitcode(status)
        ended.set()
        sampler.join()
        for stream in (output, errors):
            stream.seek(0)
        if process.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{errors.read().decode()}")
        measured.output = output.read().decode()
    return measured


def _sample_until(ended: threading.Event, pid: int, measured: Measured) -> None:
    while not ended.is_set():
        with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended
            _sample(psutil.Process(pid), measured)
        ended.wait(_SECONDS_BETWEEN_SAMPLES)


def _sample(command: psutil.Process, measured: Measured) -> None:
    residents, owns = [0], [0]
    for process in [command, *command.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):  # it has just ended; the others are still seen
            info = process.memory_info()
            resident, own = info.rss, info.rss - getattr(info, "shared", 0)  # `shared` exists on Linux alone
            role = "command" if process == command else _role_of(process)
            measured.roles.setdefault(role, Memory()).see(resident, own)
            measured.largest.see(resident, own)
            residents.append(resident)
            owns.append(own)
    measured.sum.see(sum(residents), sum(owns))


def _role_of(process: psutil.Process) -> str:
    words = process.cmdline()
    if "thaw.tasks.step_process" in words:
        return f"step {process.name()}"  # on Linux, where it shows what it works on
    return "server" if "thaw.flows.temporary_server" in words else "other"


def clean_environment(prefect_home: Path) -> dict[str, str]:
    """Make an environment in which no setting of the user's Prefect holds.

    Args:
        prefect_home: A folder for Prefect's database.

    Returns:
        The environment.
    """
    return {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")} | {
        "PREFECT_HOME": str(prefect_home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",  # this and the next as thaw sets them, for all commands
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
        "PYTHONPATH": str(ROOT),
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }


@contextlib.contextmanager
def running_server(environment: dict[str, str]) -> Iterator[dict[str, str]]:
    """Run Prefect's server for the length of a block.

    Args:
        environment: The server's environment.

    Yields:
        The environment with the server's address in it.
    """
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_until_healthy(server, port)
        yield environment | {"PREFECT_API_URL": f"http://127.0.0.1:{port}/api"}
    finally:
        server.terminate()
        server.wait(timeout=60)


def _wait_until_healthy(server: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _SECONDS_TO_START
    while time.monotonic() < deadline and server.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/api/health")
            if connection.getresponse().status == http.client.OK:
                return
        except OSError:
            time.sleep(0.5)  # it does not listen yet
        finally:
            connection.close()
    raise SystemExit("Prefect's server did not start.")


def in_turn(names: Sequence[str], repetition: int) -> list[str]:
    """Order what is compared: every other time the other way round, so that none always follows the same.

    Args:
        names: What is compared.
        repetition: Counted from 0.

    Returns:
        The names in the order of this repetition.
    """
    return list(names)[:: -1 if repetition % 2 else 1]


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table to standard error.

    Args:
        columns: Names of the columns.
        rows: The cells; numbers that are no integers get three digits.
    """
    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row))
    CONSOLE.print(table)


def start(main: Callable[..., None]) -> None:
    """Run a benchmark from the command line.

    Args:
        main: What typer makes a command of.

    Raises:
        SystemExit: The images or the recipe are wrong; its message is one line.
    """
    try:
        typer.run(main)
    except ThawError as error:
        raise SystemExit(str(error)) from error


def finish(report: dict[str, Any], *, check: bool) -> None:
    """Print the report as one line of JSON to standard output.

    Args:
        report: With "passed", which says whether all bounds hold.
        check: Exit with code 1 where they do not.
    """
    print(json.dumps(report | {"cpus": os.cpu_count()}))
    if check and not report["passed"]:
        raise typer.Exit(1)
