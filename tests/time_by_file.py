"""Says at pytest's end how long the slow tests of each file took."""

import collections

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    seconds: dict[str, float] = collections.defaultdict(float)
    tests: collections.Counter[str] = collections.Counter()
    for report in [report for reports in terminalreporter.stats.values() for report in reports]:
        if isinstance(report, pytest.TestReport) and "slow" in report.keywords:
            file = report.nodeid.partition("::")[0]
            seconds[file] += report.duration  # each part of a test has a report: its fixtures, itself, their end
            tests[file] += report.when == "call" or report.failed
    if +tests:
        terminalreporter.section("minutes by file, of all processes together")
        for file in sorted(+tests, key=seconds.__getitem__, reverse=True):
            terminalreporter.line(f"{seconds[file] / 60:6.1f}  {tests[file]:3} in {file}")
