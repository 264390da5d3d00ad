"""What the tasks of all steps have in common: retries, caching, the child process, and what the Prefect UI shows."""

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, Literal, cast
from uuid import UUID

from prefect import Task, get_run_logger, task
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State, TaskRun
from prefect.client.schemas.responses import GlobalConcurrencyLimitResponse
from prefect.context import SettingsContext, TaskRunContext, get_settings_context
from prefect.runtime import task_run as this_task_run
from prefect.tasks import exponential_backoff

from thaw.pipeline_config.errors import DeadlineError, NewerVersionError, RequestError, TrainingError
from thaw.pipeline_config.messages import one_line, text_without_secrets
from thaw.pipeline_config.schema import ExecutionConfig
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.artifacts.step import Made, Step
from thaw.tasks.cache_policy import ArtifactCachePolicy
from thaw.tasks.children import run_in_child
from thaw.tasks.home import Home
from thaw.tasks.pace import AtMostEvery, TimeLeft
from thaw.tasks.pending_step import PendingStep
from thaw.tasks.process import Work
from thaw.tasks.progress import Event, emit

StepTask = Task[..., ArtifactRef]

_OF_TAG = "tag:"  # before the tag, in a limit's name
_MOST_LIMITS = 200  # what the server gives at once
_SECONDS_BETWEEN_UPDATES = 2.0  # an update is a request of some 12 ms to the server
_SECONDS_OF_REST = 60.0  # after an update that failed
_LONGEST_REASON = 200  # characters


def step_task(name: str, *tags: str) -> Callable[[Callable[..., ArtifactRef]], StepTask]:
    """Make a task of a function that takes a step, the home and the recipe's `execution`.

    The task itself takes a pending step. `name` is shown in the UI and in `thaw run --json`; the tags are shown besides
    "thaw", where there was work, and Prefect's concurrency limits go by them.
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
        def tagged(step: PendingStep, home: Home, execution: ExecutionConfig) -> ArtifactRef:
            if context := TaskRunContext.get():
                context.task_run.tags = shown  # `with_execution` took off those that have no limit
            return function(step.step, home, execution)

        return as_task(tagged)

    return decorate


def with_execution(task: StepTask, execution: ExecutionConfig, tags: Iterable[str]) -> StepTask:
    """Give a task the retries that a recipe asks for, and those tags for whose limits it has to wait.

    The pauses double, each with a random share added, so that runs that failed together do not come back together.
    """
    pauses = exponential_backoff(execution.retry_delay_seconds)
    configured = task.with_options(retries=execution.retries, retry_delay_seconds=pauses)
    # A task with tags first asks for a slot of each tag's limit, though there be no limit. A server on SQLite refuses
    # that as long as it records that the task run is there, and Prefect asks again after two seconds.
    configured.tags = set(tags)
    return configured


def tags_with_limits() -> set[str]:
    """Ask the server which tags have a concurrency limit."""
    return {limit.name.removeprefix(_OF_TAG) for limit in _limits()}


def full_limits(tags: Collection[str]) -> dict[str, int]:
    """Ask the server of which tags all slots are taken: how many there are, by tag."""
    found = {limit.name.removeprefix(_OF_TAG): limit for limit in _limits()}
    return {tag: found[tag].limit for tag in tags if tag in found and found[tag].active_slots >= found[tag].limit}


def _limits() -> list[GlobalConcurrencyLimitResponse]:
    with get_client(sync_client=True) as client:
        limits = client.read_global_concurrency_limits(limit=_MOST_LIMITS)
    return [limit for limit in limits if limit.name.startswith(_OF_TAG)]


def build_in_child(
    name: str,
    step: Step,
    work_class: type[Work],
    home: Home,
    execution: ExecutionConfig,
    *,
    needs_keras: bool = True,
    **request: Any,
) -> ArtifactRef:
    """Build a step's artifact in a child process, and show how it goes; `request` is what this step's work needs.

    Where the work makes several artifacts, it gets the first that is missing as its step, and the others as `also`,
    with the folders to fill.
    """
    listener = _UiListener(name)

    def work(missing: Sequence[tuple[Step, Path]]) -> list[Made]:
        (step, folder), *others = missing
        also = {"also": [{"step": other, "folder": place} for other, place in others]} if others else {}
        whole = work_class.model_validate({"home": home, "folder": folder, "step": step, **also, **request})
        seconds = execution.deadline_minutes * 60
        # A second attempt gets a process of its own: what the first failed of may be the process.
        shared = this_task_run.run_count <= 1
        made = run_in_child(
            step.work, whole, deadline_seconds=seconds, listener=listener, shared=shared, needs_keras=needs_keras
        )
        return made.parted()

    return home.store.telling(lambda text: listener("warning", text)).build_together(step.together(), work)[0]


@contextmanager
def only_shown(step: str, what: str, *, again: bool = False) -> Iterator[None]:
    """Let a block that shows something in the Prefect UI fail, with a warning: it must never end what is done.

    Where it failed `again`, nothing more is said.
    """
    try:
        yield
    except Exception as error:  # noqa: BLE001 (whatever Prefect or its server made of it)
        reason = one_line(f"{type(error).__name__}: {error}", _LONGEST_REASON)
        text = f"The Prefect UI does not show {what}; the work goes on. {reason}"
        if not again:
            get_run_logger().warning(text)
            emit(Event(step, "warning", text))


def _may_pass(task: Task[..., Any], task_run: TaskRun, state: State[Any]) -> bool:
    """Retry what another attempt may mend: a lost process, a full disk; not a wrong recipe, a NaN loss, a deadline."""
    try:
        state.result()
    except (RequestError, TrainingError, NewerVersionError, DeadlineError):
        return False
    except Exception as error:  # noqa: BLE001 (whatever it is, it is the task's failure, and already logged)
        emit(Event(task.name, "warning", f"{task.name} failed, and is tried again: {one_line(str(error))}"))
        return True
    return True


class _UiListener:
    """Passes a child's lines on: to the run's log, to a progress artifact, and to this process's subscribers."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._logger = get_run_logger()
        self._artifact: UUID | None = None
        self._time_left = TimeLeft()
        self._is_due = AtMostEvery(_SECONDS_BETWEEN_UPDATES)
        self._rests = False
        # Prefect asks a server that fails again for a minute and more; meanwhile nobody would hear the child.
        context = get_settings_context()
        asking_once = context.settings.copy_with_update({"client.max_retries": 0})
        self._asking_once = SettingsContext(profile=context.profile, settings=asking_once)

    def __call__(self, kind: str, content: Any) -> None:
        if kind == "progress":
            words = content["text"].removeprefix(f"{self._name}: ")  # the task's name stands beside it everywhere
            text = text_without_secrets(", ".join(filter(None, [words, self._time_left(content["done"])])))
            emit(Event(self._name, "progress", text, content["done"]))
            self._show_progress(content["done"] * 100, text)
            return
        content = text_without_secrets(content)
        emit(Event(self._name, cast(Literal["log", "warning"], kind), content))
        self._logger.log({"log": logging.INFO, "warning": logging.WARNING}[kind], content)

    def _show_progress(self, percent: float, text: str) -> None:
        if not self._is_due() and (percent < 100 or self._rests):
            return
        told, self._rests = self._rests, True
        with only_shown(self._name, "its progress", again=told), self._asking_once:
            self._send_progress(percent, text)
            self._rests = False
        self._is_due = AtMostEvery(_SECONDS_OF_REST if self._rests else _SECONDS_BETWEEN_UPDATES)
        self._is_due()

    def _send_progress(self, percent: float, text: str) -> None:
        if self._artifact is None:
            # Without a key it stands with its run alone: the list of artifacts is for the reports.
            self._artifact = cast(UUID, create_progress_artifact(progress=percent, description=text))
        else:
            update_progress_artifact(self._artifact, progress=percent, description=text)
