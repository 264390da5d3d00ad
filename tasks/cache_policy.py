"""Prefect's view of the cache: a task is Cached exactly if the store has its artifact, checked file by file."""

from datetime import UTC
from typing import Any

from prefect.cache_policies import CachePolicy
from prefect.context import TaskRunContext
from prefect.logging import get_run_logger
from prefect.results import get_result_store
from prefect.types import DateTime

from thaw.pipeline_config.errors import ThawError
from thaw.tasks.home import Home
from thaw.tasks.pending_step import PendingStep
from thaw.tasks.progress import Event, emit

_LONG_AGO = DateTime(1970, 1, 1, tzinfo=UTC)  # before every clock, also one that jumps


class ArtifactCachePolicy(CachePolicy):
    """Takes the key from the task's pending step, and makes Prefect's own record of a result agree with the store.

    Prefect's record survives the files that it names (and may be lost while they are there), so the store decides:
    where it has the artifact, the record is written; where it does not, a record that is still there is made to expire.
    What the store sets aside is named in the run's log, and to the subscribers of `thaw.tasks.progress`.
    """

    def compute_key(
        self, task_ctx: TaskRunContext, inputs: dict[str, Any], flow_parameters: dict[str, Any], **kwargs: Any
    ) -> str | None:
        """Compute the key of a task whose parameters are named `step`, which is pending, `home` and `execution`.

        None, by which Prefect runs the task, where that fails: the task asks again, fails of it, and may be retried.
        """
        del flow_parameters, kwargs
        pending: PendingStep = inputs["step"]
        pending.begun.set()

        def warn(text: str) -> None:
            get_run_logger(task_ctx).warning(text)
            emit(Event(task_ctx.task.name, "warning", text))

        try:
            step = pending.step
        except ThawError:
            return None
        home: Home = inputs["home"].telling(warn)
        ref = home.store.look_up(step.key)
        records = get_result_store()
        if ref is not None and step.took_effect(home, ref):
            records.write(ref, key=step.key)
        elif records.exists(step.key):
            records.write(None, key=step.key, expiration=_LONG_AGO)
        return step.key
