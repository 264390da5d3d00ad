"""Runs the tasks of a flow one after the other, and keeps what happened: one report per task."""

import time
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prefect.client.schemas.objects import State

from thaw.flows.result import TaskReport
from thaw.pipeline_config.schema import Recipe
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.artifacts.step import Step
from thaw.tasks.artifacts.store import ArtifactStore
from thaw.tasks.progress import part_of_run
from thaw.tasks.task import StepTask, with_execution


@dataclass
class Journal:
    """Runs a recipe's tasks and keeps their reports.

    Attributes:
        recipe: The recipe.
        home: The home folder.
        refresh: Names of tasks that run again although they are cached.
        label: Which of a flow's several runs it is, for the names of the tasks; empty where there is one.
        reports: One for each finished task.
        found: What each finished task made, by the key of its step.
    """

    recipe: Recipe
    home: Path
    refresh: Collection[str] = ()
    label: str = ""
    reports: list[TaskReport] = field(default_factory=list)
    found: dict[str, ArtifactRef] = field(default_factory=dict)

    def run(self, step_task: StepTask, step: Step) -> ArtifactRef:
        """Run a task with the recipe's retries and deadline.

        Args:
            step_task: The task.
            step: Its request.

        Returns:
            The artifact.

        Raises:
            ThawError: What the task raised, after its last attempt.
        """
        started = time.monotonic()
        if step_task.name in self.refresh:  # here and not in the task, whose next attempt would begin anew
            ArtifactStore(self.home).forget(step.key)
        execution = self.recipe.execution
        # Typed by hand: the types of a task's call do not tell its state from its result.
        call: Any = with_execution(self._labelled(step_task), execution, cached=self.has(step))
        with part_of_run(self.label):
            state: State[ArtifactRef] = call(step, self.home, execution, return_state=True)
        ref = ArtifactRef.model_validate(state.result())
        ArtifactStore(self.home).mark_used(step.key)
        self.found[step.key] = ref
        self.reports.append(
            TaskReport(
                name=step_task.name,
                state=state.type.value.lower(),
                cached=state.name == "Cached",
                seconds=round(time.monotonic() - started, 3),
                digest=ref.digest,
            )
        )
        return ref

    def has(self, step: Step) -> bool:
        """Say whether a step's artifact is there, and nothing is left to do.

        Args:
            step: The request.

        Returns:
            Whether a task with this request would end as Cached.
        """
        ref, _ = ArtifactStore(self.home).examine(step.key)  # what is damaged is set aside by the task, which says so
        return ref is not None and step.in_place(self.home, ref)

    def _labelled(self, step_task: StepTask) -> StepTask:
        if not self.label:
            return step_task
        return step_task.with_options(task_run_name=f"{step_task.name}: {self.label}")
