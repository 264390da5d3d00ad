"""Runs the fault matrix: for each point, a forked process in which the fault happens, and one that runs again.

A process of its own, because TensorFlow may be imported before a fork, but not used: `python -m tests.faults.driver`
reads a `Matrix` from standard input and prints a `Report`.
"""

import functools
import importlib
import itertools
import json
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from tests.faults.chain import Chain, light_chain, prepare, whole_chain
from tests.faults.homes import champion_problem, differences, model_problem, tree_digest
from tests.faults.shim import Faults, copy_home, limit_file_size
from tests.support import store_of
from thaw.pipeline_config.errors import ThawError
from thaw.tasks.training.stage_facts import StageFacts

_LIMIT_WAYS = ("limit error", "limit kill")
_LATE = ("put in place", "remember")  # the steps after which little is left to run
_LONGEST_SECONDS = 180


class Matrix(BaseModel):
    """Which points are tried.

    Attributes:
        folder: An empty folder to work in.
        chain: "light" or "whole".
        steps: Names of the steps in which faults happen; None for all.
        ways: See `tests.faults.shim`; "limit error" and "limit kill" let the kernel refuse what grows beyond a size.
        every: 1 for every point, n for every nth.
        to_the_end: Of every so many points of the steps before publishing, the run is completed and compared.
        workers: Points that are tried at once.
    """

    folder: Path
    chain: str
    steps: list[str] | None = None
    ways: list[str]
    every: int = 1
    to_the_end: int = 10
    workers: int = 2


class Report(BaseModel):
    """What became of the points.

    Attributes:
        tried: Number of points, by "step, way".
        problems: One line for each point that was not survived.
        refused: The errors that were raised, by the point, for the reader.
        seconds: Wall time.
    """

    tried: dict[str, int] = {}
    problems: list[str] = []
    refused: dict[str, str] = {}
    seconds: float = 0.0

    @property
    def points(self) -> int:
        """Number of all points."""
        return sum(self.tried.values())


@dataclass(frozen=True)
class Point:
    """One fault.

    Attributes:
        step: The step in which it happens.
        way: How.
        number: The operation's number, or the size limit in bytes.
        label: The operation.
    """

    step: str
    way: str
    number: int
    label: str

    def __str__(self) -> str:
        """Name it on one line."""
        return f"{self.step}, {self.way}, {self.number} ({self.label})"


@dataclass
class Worker:
    """Tries points one after the other.

    Attributes:
        matrix: The request.
        chain: Its chain.
        home: The folder to work in.
        recovered: States of the home folder after which a run was right; nothing but the state decides that.
        report: The results so far.
    """

    matrix: Matrix
    chain: Chain
    home: Path
    recovered: set[tuple[str, str, bool]] = field(default_factory=set)
    report: Report = field(default_factory=Report)

    def try_point(self, point: Point, to_the_end: bool) -> None:
        """Let a fault happen, look at the home folder, run again, and compare.

        Args:
            point: The fault.
            to_the_end: Whether the run after it is completed, or ends with the step of the fault.
        """
        copy_home(self.matrix.folder / "before" / point.step, self.home)
        outcome = in_fork(lambda: _disturbed(self.chain, self.home, point))
        problems = [*_judge(point, outcome, self.home)]
        if "refused" in outcome:
            self.report.refused[str(point)] = outcome["refused"]
        problem = champion_problem(self.home, self.chain.recipe)
        if problem is not None:
            problems.append(f"right after it, {problem}")
        state = (tree_digest(self.home), point.step, to_the_end)
        if state not in self.recovered and not problems:
            again = in_fork(lambda: _undisturbed(self.chain, self.home, self.matrix.folder, point.step, to_the_end))
            problems += again.get("differences", [f"the run after it did not end: {again}"])
            if not problems:
                self.recovered.add(state)
        name = f"{point.step}, {point.way}"
        self.report.tried[name] = self.report.tried.get(name, 0) + 1
        if problems:
            self.report.problems.append(f"{point}: {'; '.join(problems[:4])}")


def run_matrix(matrix: Matrix) -> Report:
    """Try all points.

    Args:
        matrix: Which.

    Returns:
        What became of them.
    """
    started = time.monotonic()
    chain = light_chain() if matrix.chain == "light" else whole_chain(matrix.folder / "data")
    for module in chain.imports:
        importlib.import_module(module)
    wanted = matrix.steps or list(chain.steps)
    last = list(chain.steps) if matrix.to_the_end else [*chain.steps][: max(map([*chain.steps].index, wanted)) + 1]
    made = in_fork(lambda: _make_references(chain, matrix.folder, last))
    if "traces" not in made:
        raise RuntimeError(f"The run that was not disturbed failed: {made}")
    points = [*_points(matrix, wanted, made["traces"])]
    shares = [points[worker :: matrix.workers] for worker in range(matrix.workers)]
    pids = [_fork(functools.partial(_work, matrix, chain, n, share)) for n, share in enumerate(shares)]
    for pid in pids:
        os.waitpid(pid, 0)
    reports = [Report.model_validate_json(_report_path(matrix, n).read_bytes()) for n in range(matrix.workers)]
    return _merge(reports, time.monotonic() - started)


def in_fork(function: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Call a function in a forked process.

    Args:
        function: Returns a JSON document.

    Returns:
        The document; {"signal": number} of a process that died; {"trace": lines} of one that raised.
    """
    reader, writer = os.pipe()
    pid = _fork(lambda: _answer(function, writer))
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        if not select.select([pipe], [], [], _LONGEST_SECONDS)[0]:
            os.kill(pid, signal.SIGALRM)
        content = pipe.read()
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return {"signal": os.WTERMSIG(status)}
    result: dict[str, Any] = json.loads(content)
    return result


def _fork(function: Callable[[], None]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            function()
        except BaseException:  # noqa: BLE001 (a forked process must not return into its parent's code)
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return pid


def _answer(function: Callable[[], dict[str, Any]], writer: int) -> None:
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    try:
        answer = function()
    except BaseException:  # noqa: BLE001 (whatever it is, the parent reports it)
        answer = {"trace": traceback.format_exc().splitlines()[-6:]}
    os.write(writer, json.dumps(answer).encode())


def _make_references(chain: Chain, folder: Path, names: Iterable[str]) -> dict[str, Any]:
    # A home folder as it is before each step and after it, and the operations of each.
    home = folder / "reference"
    found: dict[str, Any] = {}
    traces: dict[str, list[str]] = {}
    prepare(home, chain)
    faults = Faults(home)
    faults.install()
    for name in names:
        copy_home(home, folder / "before" / name)
        faults.trace.clear()
        chain.steps[name](home, found)
        traces[name] = [*faults.trace]
        copy_home(home, folder / "after" / name)
    return {"traces": traces}


def _points(matrix: Matrix, wanted: list[str], traces: dict[str, list[str]]) -> Iterator[Point]:
    for step in wanted:
        for way in matrix.ways:
            if way in _LIMIT_WAYS:
                numbers = [(size, f"{size} bytes") for size in _limits(matrix.folder, step)]
            else:
                # One more than there are, so that the last one tried is one in which nothing failed.
                numbers = _telling([*enumerate([*traces[step], "none"], start=1)])
            yield from (Point(step, way, number, label) for number, label in numbers[:: matrix.every])


def _telling(operations: list[tuple[int, str]]) -> list[tuple[int, str]]:
    # Of writes that follow each other into one file, the first, the one in the middle, and the last.
    runs = [[*run] for _, run in itertools.groupby(operations, key=lambda operation: operation[1])]
    return [run[place] for run in runs for place in sorted({0, len(run) // 2, len(run) - 1})]


def _limits(folder: Path, step: str) -> list[int]:
    before, after = folder / "before" / step, folder / "after" / step
    new = [path for path in after.rglob("*") if path.is_file() and not (before / path.relative_to(after)).exists()]
    sizes = {path.stat().st_size for path in new}
    return sorted({limit for size in sizes for limit in (size - 1, size // 2) if limit > 0})


def _work(matrix: Matrix, chain: Chain, number: int, points: list[Point]) -> None:
    worker = Worker(matrix, chain, matrix.folder / f"home-{number}")
    for index, point in enumerate(points):
        to_the_end = bool(matrix.to_the_end) and (point.step in _LATE or index % matrix.to_the_end == 0)
        worker.try_point(point, to_the_end)
    _report_path(matrix, number).write_text(worker.report.model_dump_json())


def _disturbed(chain: Chain, home: Path, point: Point) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, step in chain.steps.items():
        if name == point.step:
            break
        step(home, found)
    if point.way in _LIMIT_WAYS:
        limit_file_size(point.number, kill=point.way == "limit kill")
    else:
        Faults(home, way=point.way, nth=point.number).install()
    try:
        chain.steps[point.step](home, found)
    except ThawError as error:
        return {"refused": f"{type(error).__name__}: {error}"}
    return {"finished": True}


def _undisturbed(chain: Chain, home: Path, folder: Path, step: str, to_the_end: bool) -> dict[str, Any]:
    found: dict[str, Any] = {}
    last = [*chain.steps][-1] if to_the_end else step
    for name, function in chain.steps.items():
        function(home, found)
        if name == last:
            break
    found_wrong = differences(home, folder / "after" / last)
    if chain.imports and "publish" in found and step not in _LATE:
        store = store_of(home)
        weights = store.facts(found["stage_two"], StageFacts).weights_sha256
        problem = model_problem(store.folder(found["publish"]), weights)
        found_wrong += [problem] if problem else []
    return {"differences": found_wrong}


def _judge(point: Point, outcome: dict[str, Any], home: Path) -> Iterator[str]:
    if "trace" in outcome:
        yield f"it raised no ThawError: {' | '.join(outcome['trace'])}"
    elif "refused" in outcome:
        if "\n" in outcome["refused"]:
            yield f"the message has more than one line: {outcome['refused']}"
        if point.way.endswith("kill") or point.way == "power":
            yield f"it lived on, and said {outcome['refused']}"
    elif "signal" in outcome:
        expected = {"kill": signal.SIGKILL, "power": signal.SIGKILL, "limit kill": signal.SIGXFSZ}.get(point.way)
        if outcome["signal"] != expected:
            yield f"it died of signal {outcome['signal']}"


def _report_path(matrix: Matrix, worker: int) -> Path:
    return matrix.folder / f"report-{worker}.json"


def _merge(reports: list[Report], seconds: float) -> Report:
    whole = Report(seconds=round(seconds, 1))
    for report in reports:
        for name, count in report.tried.items():
            whole.tried[name] = whole.tried.get(name, 0) + count
        whole.problems += report.problems
        whole.refused |= report.refused
    return whole


if __name__ == "__main__":
    sys.stdout.write(run_matrix(Matrix.model_validate_json(sys.stdin.read())).model_dump_json(indent=1))
