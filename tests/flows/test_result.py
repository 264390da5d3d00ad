"""The result that a run keeps for the next one."""

import threading
from pathlib import Path

from thaw.tasks.home import Home
from thaw.tasks.runs import ReleaseReport, RunResult, remember

KEY = "0" * 64


def result(run: str) -> RunResult:
    release = ReleaseReport(id="small-0", path=Path("releases/small-0"), champion=True)
    return RunResult(
        run=run,
        recipe="small",
        seconds=1.0,
        tasks=[],
        stages=[],
        metrics={},
        verdict="first",
        release=release,
        ui_url=None,
    )


def test_runs_that_end_at_once_leave_one_whole_result(tmp_path: Path) -> None:
    failures: list[BaseException] = []
    barrier = threading.Barrier(4)

    def end(name: str) -> None:
        barrier.wait(20)
        try:
            for _ in range(10):
                remember(Home.open(tmp_path), KEY, result(name * 1000))
        except BaseException as error:  # noqa: BLE001 (it is reported by the test's own thread)
            failures.append(error)

    threads = [threading.Thread(target=end, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [f"{KEY}.json"]
    path = tmp_path / "runs" / f"{KEY}.json"
    kept = RunResult.from_json(path.read_bytes(), path)
    assert kept.run in {name * 1000 for name in "abcd"}
