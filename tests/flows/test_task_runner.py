"""What the flow notes of each task."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.artifacts.steps import LetterStep, write_letters
from tests.cleanup.homes import LONG_AGO, let_time_pass
from thaw.flows import task_runner
from thaw.flows.graph import Node
from thaw.flows.task_runner import TaskRunner
from thaw.pipeline_config.loading import load_recipe
from thaw.tasks.home import Home


def test_a_result_that_a_run_finds_is_used_now_though_the_run_may_not_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, step = Home.open(tmp_path), LetterStep(text="x")
    ref = home.store.build(step, write_letters)
    let_time_pass(tmp_path)
    state = SimpleNamespace(type=SimpleNamespace(value="COMPLETED"), name="Cached", result=lambda: ref)
    task: Any = SimpleNamespace(name="letters", tags=(), with_options=lambda **_: lambda *arguments, **more: state)
    monkeypatch.setattr(task_runner, "tags_with_limits", set)
    monkeypatch.setattr(TaskRunner, "_task_of", lambda runner, node: task)
    runner = TaskRunner(load_recipe("digits"), home)
    assert runner.visit(Node("letters", "letters:write", lambda recipe, home: step)) == ref
    assert (tmp_path / "keys" / f"{step.key}.json").stat().st_mtime > LONG_AGO
    assert [(report.name, report.cached) for report in runner.reports] == [("letters", True)]
