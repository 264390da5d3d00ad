"""Asks a person, in the Prefect UI, whether a new model takes the champion's place."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from typing import Annotated

from prefect import get_run_logger, pause_flow_run, runtime
from prefect.client.orchestration import get_client
from prefect.input import RunInput
from pydantic import Field

from thaw.flows.report_artifact import report_key
from thaw.flows.server_in_use import artifact_page, outlives_the_run, run_page
from thaw.flows.story import WAITING, rename_run
from thaw.pipeline_config.publish_schema import Approval
from thaw.tasks.home import Home
from thaw.tasks.progress import Event, emit
from thaw.tasks.releases.release import ReleaseInfo, read_verdict

_SECONDS_BETWEEN_LOOKS = 3
_SECONDS_TO_ANSWER = 600  # how long the server may be away when the time is up


class Decision(RunInput):
    """The form."""

    promote: bool = Field(default=False, description="Use the new model in place of the champion?")
    by: Annotated[str, Field(min_length=1, max_length=200, description="Your name, for the log")]
    reason: Annotated[str, Field(min_length=1, max_length=2000, description="Why, for the log")]


def ask(home: Home, release: ReleaseInfo, approval: Approval) -> bool:
    """Pause the run until a person has decided on a release, or nobody has in time; says whether it still waits.

    It does where the server ends with the run, and nobody could answer. The same run, started again, asks again.
    """
    if not outlives_the_run():
        _say(
            "The new model waits for approval, and this run's Prefect server ends with it, before anybody can answer. "
            f"Use thaw releases promote {release.id} --reason '…'."
        )
        return True
    hours, verdict = approval.hours, read_verdict(release.path)
    _say(
        f"The new model waits for approval in the Prefect UI, {hours:g} hours at most: {run_page(runtime.flow_run.id)}"
    )
    rename_run(release.recipe, verdict, WAITING)
    form = Decision.with_initial_data(
        description="\n\n".join(
            [
                f"**{verdict.verdict}**: {verdict.reason}",
                *verdict.warnings,
                f"Release `{release.id}`: [the report]({artifact_page(report_key(release.recipe))})",
            ]
        )
    )
    late = Decision(promote=False, by="thaw", reason=f"Nobody decided within {hours:g} hours (publish.approval.hours).")
    with _answering_after(hours * 3600, late):
        decision = pause_flow_run(
            wait_for_input=form, timeout=round(hours * 3600) + _SECONDS_TO_ANSWER, poll_interval=_SECONDS_BETWEEN_LOOKS
        )
    home.registry.decide(release.id, approved=decision.promote, by=decision.by, reason=decision.reason)
    _say(f"{'Approved' if decision.promote else 'Declined'} by {decision.by}: {decision.reason}")
    return False


@contextmanager
def _answering_after(seconds: float, decision: Decision) -> Iterator[None]:
    """Fill in the form if nobody has done so in time: a pause that reaches its own limit fails the run, for good."""
    run, answered = runtime.flow_run.id, copy_context()

    def answer() -> None:
        with get_client(sync_client=True) as client:
            client.resume_flow_run(run, run_input=decision.model_dump())

    timer = threading.Timer(seconds, answered.run, [answer])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _say(text: str) -> None:
    get_run_logger().info(text)
    emit(Event("publish", "log", text))
