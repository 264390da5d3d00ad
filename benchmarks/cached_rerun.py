"""What a run costs in which every task is cached, beside a flow of as many empty tasks.

Both are fresh processes, in turn, against the same kind of server: Prefect's temporary one, which each of them starts,
and one that runs. Prints one JSON line to stdout and a table to stderr. Seconds are wall time; CPU seconds, with those
of the processes that the command started and waited for, say the same on a machine that is busy with other things.

    python -m benchmarks.cached_rerun --check
"""

import contextlib
import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.empty_flow import TASKS

ROOT = Path(__file__).parents[1]
LARGEST_RATIO = 1.3  # cached run to empty flow, in wall time
SECONDS_TO_START = 180
CACHED, EMPTY = "thaw run --always", f"{TASKS} empty tasks"


@dataclass
class Figures:
    """Seconds of one command, one for each repetition."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def add(self, command: Sequence[str], environment: dict[str, str]) -> None:
        started = time.monotonic()
        with tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=errors)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            errors.seek(0)
            if process.returncode:
                raise SystemExit(f"{' '.join(command)} failed:\n{errors.read().decode()}")
        self.wall.append(time.monotonic() - started)
        self.cpu.append(usage.ru_utime + usage.ru_stime)

    @property
    def seconds(self) -> float:
        return statistics.median(self.wall)

    def document(self) -> dict[str, float | list[float]]:
        return {
            "seconds": round(self.seconds, 3),
            "cpu_seconds": round(statistics.median(self.cpu), 3),
            "all_seconds": [round(seconds, 3) for seconds in self.wall],
        }


def measure(
    commands: dict[str, list[str]], environment: dict[str, str], repetitions: int, console: Console
) -> dict[str, Figures]:
    figures = {name: Figures() for name in commands}
    for number in range(repetitions):
        # Every other time in the other order, so that neither always follows the same.
        for name in list(commands)[:: -1 if number % 2 else 1]:
            figures[name].add(commands[name], environment)
            console.print(f"{name}: {figures[name].wall[-1]:.2f} s, CPU {figures[name].cpu[-1]:.2f} s")
    return figures


@contextlib.contextmanager
def running_server(environment: dict[str, str]) -> Iterator[dict[str, str]]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until_healthy(server, port)
        yield environment | {"PREFECT_API_URL": f"http://127.0.0.1:{port}/api"}
    finally:
        server.terminate()
        server.wait(timeout=60)


def wait_until_healthy(server: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
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


def print_table(documents: dict[str, dict[str, float | list[float]]], ratios: dict[str, float]) -> None:
    table = Table("command", "seconds", "CPU seconds", box=None, pad_edge=False)
    for name, document in documents.items():
        table.add_row(name, f"{document['seconds']:.2f}", f"{document['cpu_seconds']:.2f}")
    console = Console(stderr=True, highlight=False)
    console.print(table)
    for name, ratio in ratios.items():
        console.print(f"cached run to {TASKS} empty tasks, {name}: {ratio:.2f}")


def main(
    recipe: Annotated[str, typer.Option(help="The recipe; it is trained once, unless --home has it.")] = "digits",
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="As for thaw run.")] = None,
    home: Annotated[Path | None, typer.Option(help="A home folder of thaw's.  [default: a temporary one]")] = None,
    repetitions: Annotated[int, typer.Option(min=1, help="How often each is run.")] = 5,
    check: Annotated[bool, typer.Option("--check", help=f"Fail if a ratio is more than {LARGEST_RATIO}.")] = False,
) -> None:
    """Measure, in one run, what a cached run costs beside a flow of empty tasks."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        request = [recipe, *(word for pair in set_ or () for word in ("--set", pair))]
        request += ["--home", str((home or folder / "home").absolute())]
        report = measure_all(request, folder / "prefect", repetitions)
    print(json.dumps(report))
    if check and not report["passed"]:
        raise typer.Exit(1)


def measure_all(request: list[str], prefect_home: Path, repetitions: int) -> dict[str, object]:
    console = Console(stderr=True, highlight=False)
    thaw = [sys.executable, "-m", "flows.cli"]
    pair = {CACHED: [*thaw, "run", *request, "--always"], EMPTY: [sys.executable, "-m", "benchmarks.empty_flow"]}
    quick = {"thaw run, up to date": ["run", *request], "thaw plan": ["plan", *request], "thaw --help": ["--help"]}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")} | {
        "PREFECT_HOME": str(prefect_home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",  # this and the next as thaw sets them, for both
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
        "PYTHONPATH": str(ROOT),
    }
    kinds: dict[str, dict[str, Figures]] = {}
    with running_server(environment) as served:
        console.print("training once, unless it was done before")
        Figures().add([*thaw, "run", *request], served)
        kinds["running server"] = measure(pair, served, repetitions, console)
    kinds["temporary server"] = measure(pair, environment, repetitions, console)
    others = measure({name: [*thaw, *words] for name, words in quick.items()}, environment, repetitions, console)

    ratios = {kind: figures[CACHED].seconds / figures[EMPTY].seconds for kind, figures in kinds.items()}
    named = {f"{name}, {kind}": figure for kind, figures in kinds.items() for name, figure in figures.items()}
    documents = {name: figure.document() for name, figure in (named | others).items()}
    print_table(documents, ratios)
    return {
        "benchmark": "cached_rerun",
        "ratios": {kind: round(ratio, 3) for kind, ratio in ratios.items()},
        "largest_ratio": LARGEST_RATIO,
        "passed": all(ratio <= LARGEST_RATIO for ratio in ratios.values()),
        "repetitions": repetitions,
        "cpus": os.cpu_count(),
        "figures": documents,
    }


if __name__ == "__main__":
    typer.run(main)
