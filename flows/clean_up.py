"""The flow `gc`: what `thaw gc` does, by a schedule of `thaw serve`."""

import time
from collections import Counter
from pathlib import Path
from typing import Annotated, cast

from prefect import get_run_logger
from prefect.states import Completed, Failed
from pydantic import Field
from tenacity import RetryCallState, retry, retry_if_exception_type, stop_after_delay, wait_fixed

from thaw.flows.quick_flow import quick_flow
from thaw.pipeline_config.durations import seconds_of
from thaw.pipeline_config.errors import HomeInUseError, ThawError
from thaw.tasks.cleanup.collect import Collected, collect_garbage
from thaw.tasks.cleanup.kept import Limits
from thaw.tasks.home import Home

_SECONDS_BETWEEN, _SECONDS_TO_WAIT = 30, 2 * 60 * 60


@quick_flow(name="gc", flow_run_name="gc")
def gc(keep_releases: Annotated[int, Field(ge=0)] = 3, older_than: str = "30d", *, home: Path) -> Collected:
    """Remove what no kept release, champion or recent run refers to, once no run goes on in the home folder.

    Args:
        keep_releases: Keep each recipe's last ones, besides what is in use or a rollback returns to.
        older_than: Keep what was made or used since: 45m, 12h, 30d, 2w.
        home: Folder of artifacts and releases.
    """
    try:
        limits = Limits(keep_releases, young_after=time.time() - seconds_of(older_than))
        collected = _collect_when_at_rest(Home.open(home), limits)
    except (ValueError, ThawError) as error:
        return cast(Collected, Failed(message=str(error)))
    for warning in collected.warnings:
        get_run_logger().warning(warning)
    for kind, number in Counter(item.kind for item in collected.garbage).items():
        get_run_logger().info("%s: %d removed", kind, number)
    return cast(Collected, Completed(message=f"Freed {collected.bytes / 1e6:.1f} MB.", data=collected))


def _say_that_it_waits(call: RetryCallState) -> None:
    if call.attempt_number == 1:
        get_run_logger().info("Waits until no run goes on in the home folder, for two hours at most.")


@retry(
    retry=retry_if_exception_type(HomeInUseError),
    wait=wait_fixed(_SECONDS_BETWEEN),
    stop=stop_after_delay(_SECONDS_TO_WAIT),
    before_sleep=_say_that_it_waits,
    reraise=True,
)
def _collect_when_at_rest(home: Home, limits: Limits) -> Collected:
    return collect_garbage(home, limits, dry_run=False)
