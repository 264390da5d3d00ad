"""The steps of a run as plain function calls, one after the other, without Prefect. Run by orchestration.py.

Which steps there are, in which order, and what each is asked, is what the graph of a run says.

    python -m benchmarks.steps_in_a_row digits --home DIR
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from thaw.flows.graph import GRAPH, Node, Walk
from thaw.pipeline_config.loading import load_recipe
from thaw.pipeline_config.schema import Recipe
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.artifacts.step import Made, Step
from thaw.tasks.children import run_in_child, sharing_children
from thaw.tasks.home import Home
from thaw.tasks.process import Work
from thaw.tasks.publishing.publish import publish
from thaw.tasks.publishing.step import PublishStep


class StepsInARow(Walk):
    """Does the steps as their tasks do, in child processes; `seconds` says what each took, by its task's name."""

    def __init__(self, recipe: Recipe, home: Home) -> None:
        super().__init__(recipe, home)
        self.seconds: dict[str, float] = {}

    def visit(self, node: Node) -> ArtifactRef:
        if node.prepare is not None:
            node.prepare(self.home)
        return self.build(node, lambda: self.asked(node))

    def provide(self, node: Node, step: Step) -> None:
        self.build(node, lambda: step)

    def build(self, node: Node, ask: Callable[[], Step]) -> ArtifactRef:
        started, step = time.monotonic(), ask()
        ref = self.home.store.build_together(step.together(), self.work)[0]
        if isinstance(step, PublishStep):
            publish(self.home, ref)
        self.seconds[node.name] = time.monotonic() - started
        return ref

    def work(self, missing: Sequence[tuple[Step, Path]]) -> list[Made]:
        """Do the work of the first step, which makes what the others ask for, too."""
        (step, folder), *others = missing
        request: dict[str, Any] = {"home": self.home, "folder": folder, "step": step}
        if others:
            request["also"] = [{"step": other, "folder": place} for other, place in others]
        work_class = work_class_of(step)
        if "checkpoints" in work_class.model_fields:
            request["checkpoints"] = self.home.store.checkpoints(step.key)
        whole = work_class.model_validate(request)
        seconds = self.recipe.execution.deadline_minutes * 60
        return run_in_child(step.work, whole, deadline_seconds=seconds, listener=lambda *_: None, shared=True).parted()


def work_class_of(step: Step) -> type[Work]:
    return next(found for found in Work.__subclasses__() if found.model_fields["step"].annotation is type(step))


def run(recipe: Recipe, home: Path) -> dict[str, float]:
    """Do all steps, and tell the seconds of each, by its task's name."""
    steps = StepsInARow(recipe, Home.open(home))
    with sharing_children():
        steps.go(GRAPH)
    return steps.seconds


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
