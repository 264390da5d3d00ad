"""What a run costs in which every task is cached, beside a flow of as many empty tasks.

Both are fresh processes, in turn, against the same kind of server: Prefect's temporary one, which each of them starts,
and one that runs. Prints one JSON line to stdout and a table to stderr. Seconds are wall time; CPU seconds, with those
of the processes that the command started and waited for, say the same on a machine that is busy with other things.

    python -m benchmarks.cached_rerun --check
"""

import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.empty_flow import TASKS
from benchmarks.measuring import (
    CONSOLE,
    THAW,
    clean_environment,
    finish,
    in_turn,
    print_table,
    run_measured,
    running_server,
    start,
)

LARGEST_RATIO = 1.3  # cached run to empty flow, in wall time
CACHED, EMPTY = "thaw run --always", f"{TASKS} empty tasks"


@dataclass
class Figures:
    """Seconds of one command, one for each repetition."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def add(self, command: Sequence[str], environment: dict[str, str]) -> None:
        measured = run_measured(command, environment)
        self.wall.append(measured.seconds)
        self.cpu.append(measured.cpu_seconds)

    @property
    def seconds(self) -> float:
        return statistics.median(self.wall)

    def document(self) -> dict[str, float | list[float]]:
        return {
            "seconds": round(self.seconds, 3),
            "cpu_seconds": round(statistics.median(self.cpu), 3),
            "all_seconds": [round(seconds, 3) for seconds in self.wall],
        }


def measure(commands: dict[str, list[str]], environment: dict[str, str], repetitions: int) -> dict[str, Figures]:
    figures = {name: Figures() for name in commands}
    for number in range(repetitions):
        for name in in_turn([*commands], number):
            figures[name].add(commands[name], environment)
            CONSOLE.print(f"{name}: {figures[name].wall[-1]:.2f} s, CPU {figures[name].cpu[-1]:.2f} s")
    return figures


def print_figures(documents: dict[str, dict[str, float | list[float]]], ratios: dict[str, float]) -> None:
    print_table(
        ["command", "seconds", "CPU seconds"],
        [[name, document["seconds"], document["cpu_seconds"]] for name, document in documents.items()],
    )
    for name, ratio in ratios.items():
        CONSOLE.print(f"cached run to {TASKS} empty tasks, {name}: {ratio:.2f}")


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
    finish(report, check=check)


def measure_all(request: list[str], prefect_home: Path, repetitions: int) -> dict[str, object]:
    pair = {CACHED: [*THAW, "run", *request, "--always"], EMPTY: [sys.executable, "-m", "benchmarks.empty_flow"]}
    quick = {"thaw run, up to date": ["run", *request], "thaw plan": ["plan", *request], "thaw --help": ["--help"]}
    environment = clean_environment(prefect_home)
    kinds: dict[str, dict[str, Figures]] = {}
    with running_server(environment) as served:
        CONSOLE.print("training once, unless it was done before")
        Figures().add([*THAW, "run", *request], served)
        kinds["running server"] = measure(pair, served, repetitions)
    kinds["temporary server"] = measure(pair, environment, repetitions)
    others = measure({name: [*THAW, *words] for name, words in quick.items()}, environment, repetitions)

    ratios = {kind: figures[CACHED].seconds / figures[EMPTY].seconds for kind, figures in kinds.items()}
    named = {f"{name}, {kind}": figure for kind, figures in kinds.items() for name, figure in figures.items()}
    documents = {name: figure.document() for name, figure in (named | others).items()}
    print_figures(documents, ratios)
    return {
        "benchmark": "cached_rerun",
        "ratios": {kind: round(ratio, 3) for kind, ratio in ratios.items()},
        "largest_ratio": LARGEST_RATIO,
        "passed": all(ratio <= LARGEST_RATIO for ratio in ratios.values()),
        "repetitions": repetitions,
        "figures": documents,
    }


if __name__ == "__main__":
    start(main)
