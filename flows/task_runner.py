"""Runs the tasks of a graph in a Prefect flow, one after the other, and keeps a report of each."""

import importlib
import time
from collections.abc import Callable, Collection
from typing import Any

from prefect.client.schemas.objects import State

from thaw.flows.events import at_task
from thaw.flows.graph import Node, Walk
from thaw.flows.slots import told_of_waiting
from thaw.pipeline_config.schema import Recipe
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.artifacts.step import Step
from thaw.tasks.home import Home
from thaw.tasks.pending_step import PendingStep
from thaw.tasks.progress import Event, emit, part_of_run
from thaw.tasks.runs import TaskReport
from thaw.tasks.task import StepTask, tags_with_limits, with_execution


class TaskRunner(Walk):
    """Runs a recipe's tasks, and keeps their reports, and their steps by the nodes' names.

    The label is for the names of the tasks: which of a flow's several runs it is; empty where there is one.
    """

    def __init__(self, recipe: Recipe, home: Home, refresh: Collection[str] = (), label: str = "") -> None:
        """Begin, inside a flow."""
        super().__init__(recipe, home, refresh)
        self.label = label
        self.steps: dict[str, Step] = {}
        self.reports: list[TaskReport] = []
        self._limited = tags_with_limits()

    def visit(self, node: Node) -> ArtifactRef:
        """Run a task with the recipe's retries and deadline.

        Raises:
            ThawError: What the task raised, after its last attempt.
        """
        return self._run(node, lambda: self._prepared(node))

    def provide(self, node: Node, step: Step) -> None:
        """Run a task whose result is asked for on demand."""
        self._run(node, lambda: step)

    def serves(self, step: Step) -> bool:
        """Say whether it is there, and note that it is used."""
        is_there = super().serves(step)
        if is_there:
            self.home.store.mark_used(step.key)
        return is_there

    def _prepared(self, node: Node) -> Step:
        if node.prepare is not None:
            node.prepare(self.home)
        return self.asked(node)

    def _run(self, node: Node, make: Callable[[], Step]) -> ArtifactRef:
        started = time.monotonic()
        pending = PendingStep(make, self.home, refresh=node.name in self.refresh)
        is_there = not node.looks_outside and self.home.find(pending.step)[0] is not None
        task = self._task_of(node)
        tags = () if is_there else self._limited.intersection(task.tags)
        # Typed by hand: the types of a task's call do not tell its state from its result.
        call: Any = with_execution(task, self.recipe.execution, tags)
        with part_of_run(self.label), told_of_waiting(node.name, tags, pending.begun):
            emit(Event(node.name, "detail", "begins"))
            with at_task(node.name):
                state: State[ArtifactRef] = call(pending, self.home, self.recipe.execution, return_state=True)
                seconds = round(time.monotonic() - started, 3)
                emit(Event(node.name, "detail", f"{state.name}, after {seconds:.1f} s"))
                ref = ArtifactRef.model_validate(state.result())
        self.steps[node.name] = pending.step
        self.home.store.mark_used(pending.step.key)
        self.reports.append(
            TaskReport(
                name=node.name,
                state=state.type.value.lower(),
                cached=state.name == "Cached",
                seconds=seconds,
                digest=ref.digest,
            )
        )
        return ref

    def _task_of(self, node: Node) -> StepTask:
        package, _, name = node.task.partition(":")
        task: StepTask = getattr(importlib.import_module(f"thaw.tasks.{package}.task"), name)
        return task.with_options(task_run_name=f"{task.name}: {self.label}") if self.label else task
