"""What the flow notes of each task."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from thaw.flows.journal import Journal

from tests.artifacts.steps import LetterStep, write_letters
from tests.cleanup.homes import LONG_AGO, let_time_pass
from thaw.pipeline_config.loading import load_recipe
from thaw.tasks.home import Home
from thaw.tasks.task import StepTask


def test_a_result_that_a_run_finds_is_used_now_though_the_run_may_not_end(tmp_path: Path) -> None:
    step = LetterStep(text="x")
    ref = Home.open(tmp_path).store.build(step, write_letters)
    let_time_pass(tmp_path)
    state = SimpleNamespace(type=SimpleNamespace(value="COMPLETED"), name="Cached", result=lambda: ref)
    task: Any = SimpleNamespace(name="letters", with_options=lambda **options: lambda *arguments, **more: state)
    assert Journal(load_recipe("digits"), tmp_path).run(cast(StepTask, task), step) == ref
    assert (tmp_path / "keys" / f"{step.key}.json").stat().st_mtime > LONG_AGO
