"""What Prefect takes: `thaw run` beside the same steps called in a row, child processes included.

Both are fresh processes with a new home, in turn; thaw against a server that runs, so that the server's start is left
out. Two lengths of time are compared with thaw's wall time: by how much it is longer than the steps in a row, which is
what the bound is about, and what of it lies outside of the tasks' own work. The start of the temporary server, for
those who have no other, is measured apart, by runs in which all is cached. Prints one JSON line to stdout and tables to
stderr. The bound is for a run of minutes, such as cats and dogs; what Prefect takes does not grow with it.

    python -m benchmarks.orchestration --data DIR --weights FILE --check
"""

import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.measuring import (
    CONSOLE,
    THAW,
    Measured,
    clean_environment,
    finish,
    in_turn,
    print_table,
    run_measured,
    running_server,
    start,
)

LARGEST_SHARE = 0.05  # of thaw's wall time
PLAIN, PREFECT = "steps in a row", "thaw run"
BOTH = (PLAIN, PREFECT)


def measure_all(request: list[str], place: Path, repetitions: int) -> dict[str, Any]:
    """Run both, as often as asked, and then the last home again, cached, with and without a server that runs."""
    environment = clean_environment(place / "prefect")
    measured: dict[str, list[Measured]] = {name: [] for name in BOTH}
    tasks: dict[str, list[dict[str, float]]] = {name: [] for name in BOTH}
    with running_server(environment) as served:
        run_measured([*THAW, "--help"], served)  # so that the first is not the one that reads thaw's files
        for number in range(repetitions):
            for name in in_turn(BOTH, number):
                home = ["--home", str(place / f"home-{BOTH.index(name)}-{number}")]
                if name == PLAIN:
                    done = run_measured([sys.executable, "-m", "benchmarks.steps_in_a_row", *request, *home], served)
                    tasks[name].append(json.loads(done.output))
                else:
                    done = run_measured([*THAW, "run", *request, *home, "--json"], served)
                    found = json.loads(done.output)["tasks"]
                    tasks[name].append({task["name"]: task["seconds"] for task in found})
                measured[name].append(done)
                CONSOLE.print(f"{name}: {done.seconds:.2f} s, CPU {done.cpu_seconds:.2f} s")
        again = [*THAW, "run", *request, "--home", str(place / f"home-1-{repetitions - 1}"), "--always"]
        with_server = run_measured(again, served).seconds
    server_start = run_measured(again, environment).seconds - with_server
    return report_on(measured, tasks, server_start)


def report_on(
    measured: dict[str, list[Measured]], tasks: dict[str, list[dict[str, float]]], server_start: float
) -> dict[str, Any]:
    """Compare the two.

    Args:
        measured: What each run of both took.
        tasks: Seconds of each task of each run of both.
        server_start: Seconds of the temporary server's start.

    Returns:
        The report; "passed" says whether Prefect's share is within its bound.
    """
    seconds = {name: statistics.median(run.seconds for run in runs) for name, runs in measured.items()}
    cpu = {name: statistics.median(run.cpu_seconds for run in runs) for name, runs in measured.items()}
    of_tasks = {
        name: {task: statistics.median(run[task] for run in runs) for task in runs[0]} for name, runs in tasks.items()
    }
    outside = {name: seconds[name] - sum(of_tasks[name].values()) for name in BOTH}
    share = (seconds[PREFECT] - seconds[PLAIN]) / seconds[PREFECT]
    rows: list[list[Any]] = [
        ["wall time", *(seconds[name] for name in BOTH)],
        ["CPU time", *(cpu[name] for name in BOTH)],
    ]
    rows += [[f"task {task}", *(of_tasks[name].get(task, 0.0) for name in BOTH)] for task in of_tasks[PREFECT]]
    rows += [["outside of the tasks", *(outside[name] for name in BOTH)]]
    print_table(["seconds", *BOTH], rows)
    CONSOLE.print(f"orchestration: {share:.1%} of thaw's wall time; the temporary server's start: {server_start:.1f} s")
    return {
        "benchmark": "orchestration",
        "share": round(share, 4),
        "largest_share": LARGEST_SHARE,
        "passed": share <= LARGEST_SHARE,
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "cpu_seconds": {name: round(value, 3) for name, value in cpu.items()},
        "outside_of_tasks": {name: round(value, 3) for name, value in outside.items()},
        "tasks": of_tasks,
        "server_start_seconds": round(server_start, 3),
    }


def main(
    data: Annotated[Path | None, typer.Option(help="A folder of images, as for thaw run.", exists=True)] = None,
    weights: Annotated[Path | None, typer.Option(help="Backbone weights, as for thaw run.", exists=True)] = None,
    recipe: Annotated[str | None, typer.Option(help="[default: cats_dogs with --data, else digits]")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="As for thaw run.")] = None,
    repetitions: Annotated[int, typer.Option(min=1, help="How often each is run.")] = 3,
    check: Annotated[bool, typer.Option("--check", help=f"Fail if Prefect takes more than {LARGEST_SHARE}.")] = False,
) -> None:
    """Measure what Prefect takes."""
    request = [recipe or ("digits" if data is None else "cats_dogs")]
    request += [] if data is None else ["--data", str(data.absolute())]
    request += [] if weights is None else ["--weights", str(weights.absolute())]
    request += [word for pair in set_ or () for word in ("--set", pair)]
    with tempfile.TemporaryDirectory() as temporary:
        report = measure_all(request, Path(temporary), repetitions)
    finish(report, check=check)


if __name__ == "__main__":
    start(main)
