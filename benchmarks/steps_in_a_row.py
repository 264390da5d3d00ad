"""The steps of a run as plain function calls, one after the other, without Prefect. Run by orchestration.py.

Which steps there are, and in which order, is what `thaw plan` says: its planner looks each step up and passes what it
finds to the next, and here it also builds what it does not find, in child processes, as tasks would.

    python -m benchmarks.steps_in_a_row digits --home DIR
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any
from unittest import mock

import typer

from thaw.flows import plan as planning
from thaw.pipeline_config.loading import load_recipe
from thaw.pipeline_config.schema import Recipe
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.artifacts.step import Step
from thaw.tasks.children import prepare_shared_child, run_in_child, sharing_children
from thaw.tasks.evaluation.verdict import VerdictStep, VerdictWork, write_verdict
from thaw.tasks.home import Home
from thaw.tasks.process import Work
from thaw.tasks.publishing.publish import publish
from thaw.tasks.publishing.step import PublishStep


def build(step: Step, home: Path, deadline_seconds: float) -> ArtifactRef:
    """Do one step, as its task does."""
    store = Home.open(home).store

    def work(folder: Path) -> dict[str, Any]:
        if isinstance(step, VerdictStep):  # the one step without a child
            return write_verdict(VerdictWork(home=home, folder=folder, step=step))
        request: dict[str, Any] = {"home": home, "folder": folder, "step": step}
        work_class = work_class_of(step)
        if "checkpoints" in work_class.model_fields:
            request["checkpoints"] = store.checkpoints(step.key)
        whole = work_class.model_validate(request)
        if not step.shares_process:
            prepare_shared_child()
        return run_in_child(
            step.work,
            whole,
            deadline_seconds=deadline_seconds,
            listener=lambda *_: None,
            shared=step.shares_process,
        )

    ref = store.build(step, work)
    if isinstance(step, PublishStep):
        publish(home, ref)
    return ref


def work_class_of(step: Step) -> type[Work]:
    return next(found for found in Work.__subclasses__() if found.model_fields["step"].annotation is type(step))


def run(recipe: Recipe, home: Path) -> dict[str, float]:
    """Do all steps.

    Args:
        recipe: What to do.
        home: A home folder.

    Returns:
        Seconds of each step, by its task's name.
    """
    seconds: dict[str, float] = {}

    class Builder(planning.Planner):
        def look_up(
            self, name: str, make_step: Callable[..., Step], **inputs: ArtifactRef | None
        ) -> ArtifactRef | None:
            started = time.monotonic()
            ref = build(make_step(**inputs), home, recipe.execution.deadline_minutes * 60)
            seconds[name] = time.monotonic() - started
            return ref

    with mock.patch.object(planning, "Planner", Builder), sharing_children():
        planning.plan(recipe, home)
    return seconds


def main(
    recipe: str,
    home: Annotated[Path, typer.Option()],
    data: Annotated[Path | None, typer.Option()] = None,
    weights: Annotated[Path | None, typer.Option()] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE")] = None,
) -> None:
    """Do the steps of a recipe, and print the seconds of each as one line of JSON."""
    seconds = run(load_recipe(recipe, tuple(set_ or ()), data=data, weights=weights), home)
    if "prefect" in sys.modules:
        raise SystemExit("Prefect was imported: this says nothing about what it takes.")
    print(json.dumps(seconds))


if __name__ == "__main__":
    typer.run(main)
