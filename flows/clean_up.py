"""The flow `gc`: what `thaw gc` does, by a schedule of `thaw serve`."""

import time
from collections import Counter
from pathlib import Path
from typing import Annotated, cast

from prefect import get_run_logger
from prefect.states import Completed, Failed
from pydantic import Field

from thaw.flows.quick_flow import quick_flow
from thaw.pipeline_config.durations import seconds_of
from thaw.pipeline_config.errors import HomeInUseError, ThawError
from thaw.tasks.cleanup.collect import Collected, collect_garbage
from thaw.tasks.cleanup.kept import Limits
from thaw.tasks.home import Home

_RETRIES, _SECONDS_BETWEEN = 24, 300  # for two hours: while a run goes on, nothing may be removed


@quick_flow(name="gc", flow_run_name="gc", retries=_RETRIES, retry_delay_seconds=_SECONDS_BETWEEN)
def gc(keep_releases: Annotated[int, Field(ge=0)] = 3, older_than: str = "30d", *, home: Path) -> Collected:
    """Remove what no kept release, champion or recent run refers to.

    Args:
        keep_releases: Keep each recipe's last ones, besides what is in use or a rollback returns to.
        older_than: Keep what was made or used since: 45m, 12h, 30d, 2w.
        home: Folder of artifacts and releases.

    Raises:
        HomeInUseError: A run is going on; Prefect tries again.
    """
    try:
        limits = Limits(keep_releases, young_after=time.time() - seconds_of(older_than))
        collected = collect_garbage(Home.open(home), limits, dry_run=False)
    except HomeInUseError:
        raise
    except (ValueError, ThawError) as error:  # which another attempt would meet again
        return cast(Collected, Failed(message=str(error)))
    for warning in collected.warnings:
        get_run_logger().warning(warning)
    for kind, number in Counter(item.kind for item in collected.garbage).items():
        get_run_logger().info("%s: %d removed", kind, number)
    return cast(Collected, Completed(message=f"Freed {collected.bytes / 1e6:.1f} MB.", data=collected))
