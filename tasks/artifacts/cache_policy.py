"""Prefect's view of the cache: a task is Cached exactly if the store has its artifact, checked file by file."""

from datetime import UTC
from pathlib import Path
from typing import Any

from prefect.cache_policies import CachePolicy
from prefect.context import TaskRunContext
from prefect.logging import get_run_logger
from prefect.results import get_result_store
from prefect.types import DateTime

from thaw.tasks.artifacts.step import Step
from thaw.tasks.artifacts.store import ArtifactStore
from thaw.tasks.progress import Event, publish

_LONG_AGO = DateTime(1970, 1, 1, tzinfo=UTC)  # before every clock, also one that jumps


class ArtifactCachePolicy(CachePolicy):
    """Takes the key from the task's `step`, and makes Prefect's own record of a result agree with the store.

    Prefect's record survives the files that it names (and may be lost while they are there), so the store decides:
    where it has the artifact, the record is written; where it does not, a record that is still there is made to expire.
    What the store sets aside is named in the run's log, and to the subscribers of `thaw.tasks.progress`.
    """

    def compute_key(
        self,
        task_ctx: TaskRunContext,
        inputs: dict[str, Any],
        flow_parameters: dict[str, Any],
        **kwargs: Any,
    ) -> str | None:
        """Compute the key of a task whose parameters are named `step` and `home`.

        Args:
            task_ctx: The task, and the log of its run.
            inputs: The task's arguments.
            flow_parameters: Not used.
            **kwargs: Not used.

        Returns:
            The step's key. If it cannot be computed, Prefect logs that and runs the task, which computes the key again,
            and fails.
        """
        step: Step = inputs["step"]
        home: Path = inputs["home"]
        key = step.key

        def warn(text: str) -> None:
            get_run_logger(task_ctx).warning(text)
            publish(Event(task_ctx.task.name, "warning", text))

        ref = ArtifactStore(home, warn).find(key)
        records = get_result_store()
        if ref is not None and step.in_place(home, ref):
            records.write(ref, key=key)
        elif records.exists(key):
            records.write(None, key=key, expiration=_LONG_AGO)
        return key
