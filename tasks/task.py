"""What the tasks of all steps have in common: retries, caching, the child process, and what the Prefect UI shows."""

import logging
from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from typing import Any, Literal, cast
from uuid import UUID

from prefect import Task, get_run_logger, task
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import TaskRunContext
from prefect.exceptions import ObjectNotFound
from prefect.runtime import task_run as this_task_run
from prefect.tasks import exponential_backoff

from thaw.pipeline_config.errors import RequestError, TrainingError
from thaw.pipeline_config.schema import ExecutionConfig
from thaw.tasks.artifacts.cache_policy import ArtifactCachePolicy
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.artifacts.step import Step
from thaw.tasks.artifacts.store import ArtifactStore
from thaw.tasks.children import prepare_shared_child, run_in_child
from thaw.tasks.pace import AtMostEvery
from thaw.tasks.process import Work
from thaw.tasks.progress import Event, publish

StepTask = Task[..., ArtifactRef]

_SECONDS_BETWEEN_UPDATES = 2.0  # an update is a request of some 12 ms to the server


def step_task(name: str, *tags: str) -> Callable[[Callable[..., ArtifactRef]], StepTask]:
    """Make a task of a function that takes `step`, `home` and `execution`.

    Args:
        name: The task's name in the UI and in `thaw run --json`.
        *tags: Shown in the UI besides "thaw", where there was work; Prefect's concurrency limits go by them.

    Returns:
        The decorator.
    """
    shown = sorted({"thaw", *tags})
    as_task = task(
        name=name,
        task_run_name=name,
        tags=shown,
        cache_policy=ArtifactCachePolicy(),
        persist_result=True,
        result_serializer="json",
        retry_condition_fn=_may_pass,
        retry_jitter_factor=0.5,
    )

    def decorate(function: Callable[..., ArtifactRef]) -> StepTask:
        @wraps(function)
        def tagged(step: Step, home: Path, execution: ExecutionConfig) -> ArtifactRef:
            if context := TaskRunContext.get():
                context.task_run.tags = shown  # `with_execution` took off those that have no limit
            return function(step, home, execution)

        return as_task(tagged)

    return decorate


def with_execution(step: StepTask, execution: ExecutionConfig, *, cached: bool) -> StepTask:
    """Give a task the retries that a recipe asks for, and of its tags those that it has to wait for.

    Args:
        step: The task.
        execution: The recipe's `execution`.
        cached: Whether the task will find its artifact there.

    Returns:
        The task with retries whose pauses double, each with a random share added, so that runs that failed together do
        not come back together. Its tags are those that have a concurrency limit on the server.
    """
    configured = step.with_options(
        retries=execution.retries, retry_delay_seconds=exponential_backoff(execution.retry_delay_seconds)
    )
    # A task with tags first asks for a slot of each tag's limit, though there be no limit. A server on SQLite refuses
    # that as long as it records that the task run is there, and Prefect asks again after two seconds.
    configured.tags = set() if cached else _with_limit(step.tags)
    return configured


def _with_limit(tags: Iterable[str]) -> set[str]:
    limited = set()
    with get_client(sync_client=True) as client:
        for tag in tags:
            try:
                client.read_global_concurrency_limit_by_name(f"tag:{tag}")
            except ObjectNotFound:
                continue
            limited.add(tag)
    return limited


def build_in_child(
    name: str, step: Step, work_class: type[Work], home: Path, execution: ExecutionConfig, **request: Any
) -> ArtifactRef:
    """Build a step's artifact in a child process, and show how it goes.

    Args:
        name: The task's name.
        step: The request.
        work_class: What the step's function takes.
        home: The home folder.
        execution: The recipe's `execution`, for the deadline.
        **request: What this step's work takes besides what every step's does.

    Returns:
        The artifact.
    """
    listener = _UiListener(name)

    def work(folder: Path) -> dict[str, Any]:
        whole = work_class.model_validate({"home": home, "folder": folder, "step": step, **request})
        seconds = execution.deadline_minutes * 60
        if not step.shares_process:
            prepare_shared_child()  # for the steps after this one, which will have to run, too
        # A second attempt gets a process of its own: what the first failed of may be the process.
        shared = step.shares_process and this_task_run.run_count <= 1
        return run_in_child(step.work, whole, deadline_seconds=seconds, listener=listener, shared=shared)

    return ArtifactStore(home, lambda text: listener("warning", text)).build(step, work)


def _may_pass(task: Task[..., Any], task_run: TaskRun, state: State[Any]) -> bool:
    """Retry what another attempt may mend, such as a lost process or a full disk; not a wrong recipe or a NaN loss."""
    try:
        state.result()
    except (RequestError, TrainingError):
        return False
    except Exception:  # noqa: BLE001 (whatever it is, it is the task's failure, and already logged)
        return True
    return True


class _UiListener:
    """Passes a child's lines on: to the run's log, to a progress artifact, and to this process's subscribers."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._logger = get_run_logger()
        self._artifact: UUID | None = None
        self._is_due = AtMostEvery(_SECONDS_BETWEEN_UPDATES)

    def __call__(self, kind: str, content: Any) -> None:
        if kind == "progress":
            publish(Event(self._name, "progress", content["text"], content["done"]))
            self._show_progress(content["done"] * 100, content["text"])
            return
        publish(Event(self._name, cast(Literal["log", "warning"], kind), content))
        self._logger.log({"log": logging.INFO, "warning": logging.WARNING}[kind], content)

    def _show_progress(self, percent: float, text: str) -> None:
        if not self._is_due() and percent < 100:
            return
        if self._artifact is None:
            key = f"{self._name.replace('_', '-')}-progress"
            self._artifact = cast(UUID, create_progress_artifact(progress=percent, key=key, description=text))
        else:
            update_progress_artifact(self._artifact, progress=percent, description=text)
