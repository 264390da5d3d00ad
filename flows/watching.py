"""Watches the images of recipes for `thaw serve`, where `retrain.on` asks for it, each in a thread of its own."""

import threading
import time
from collections.abc import Callable
from contextvars import copy_context
from datetime import datetime

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterName,
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType

from thaw.flows.automations import deployment_of
from thaw.flows.events import tell_dataset_changed
from thaw.flows.ingested import images_now, images_of_last_run
from thaw.flows.story import FLOW
from thaw.pipeline_config.schema import Recipe
from thaw.tasks.home import Home
from thaw.tasks.progress import Event, belongs_to, emit, say

_MOST_SECONDS_BETWEEN_LOOKS = 30.0
_REST = 9  # times as long as a look took: watching takes no more than a tenth of a processor
_GOES_ON = [StateType.PENDING, StateType.RUNNING, StateType.PAUSED, StateType.CANCELLING]


class Watch:
    """Decides, look by look, whether a recipe's images have changed and are worth a run. It has no clock.

    What is told once is not told again, and neither is what the last run took in. A change waits until a run can start:
    while one goes on, another would be cancelled.
    """

    def __init__(
        self,
        recipe: str,
        settle_seconds: float,
        *,
        now: Callable[[], str],
        last_run: Callable[[], str | None],
        can_start: Callable[[], bool],
        tell: Callable[[], None],
    ) -> None:
        """Ask, for each look, for the digest of the images, for that of the last run, and whether one can start."""
        self._recipe, self._settle_seconds = recipe, settle_seconds
        self._now, self._last_run, self._can_start, self._tell = now, last_run, can_start, tell
        self._seen: str | None = None
        self._since = 0.0
        self._told: str | None = None
        self._is_blind = False

    def look(self, moment: float) -> None:
        """Look at a moment, in seconds of a clock that never goes back; of looks that fail, the first is warned of."""
        try:
            self._look(moment)
        except Exception as error:  # noqa: BLE001 (the disk's, Prefect's, its server's: the next look may succeed)
            if not self._is_blind:
                text = f"The images of {self._recipe} cannot be watched now; thaw serve goes on trying: {error}"
                emit(Event("", "warning", text))
            self._is_blind = True
        else:
            self._is_blind = False

    def _look(self, moment: float) -> None:
        images = self._now()
        if images != self._seen:
            self._seen, self._since = images, moment
        if images == self._told or moment - self._since < self._settle_seconds:
            return
        if images != self._last_run():
            if not self._can_start():
                return
            self._tell()
        self._told = images


def start_watching(recipe: Recipe, home: Home) -> None:
    """Watch a recipe's images in the background, to the end of this process, which is about to serve it.

    Of several processes that serve a recipe from one home folder, one watches; when it ends, another does.
    """
    polled_before = _last_polled(recipe.name)
    watch = Watch(
        recipe.name,
        recipe.retrain.settle_seconds,
        now=lambda: images_now(recipe, home),
        last_run=lambda: images_of_last_run(recipe, home),
        # Before it is served, its trigger may not be there, or not be known to the server's part that looks at events.
        can_start=lambda: _last_polled(recipe.name) != polled_before and not _is_running(recipe.name),
        tell=lambda: _tell(recipe.name),
    )

    def go_on() -> None:
        belongs_to(recipe=recipe.name)
        with home.store.lock(f"watch-{recipe.name}"):
            while True:
                began = time.monotonic()
                watch.look(began)
                pause = min(recipe.retrain.settle_seconds / 2, _MOST_SECONDS_BETWEEN_LOOKS)
                time.sleep(max(pause, _REST * (time.monotonic() - began)))

    threading.Thread(target=copy_context().run, args=(go_on,), daemon=True).start()


def _tell(recipe: str) -> None:
    tell_dataset_changed(recipe, "folder")
    say(f"the images of {recipe} have changed; told Prefect's server")


def _last_polled(recipe: str) -> datetime | None:
    found = deployment_of(recipe)
    return None if found is None else found.last_polled


def _is_running(recipe: str) -> bool:
    with get_client(sync_client=True) as client:
        return bool(
            client.read_flow_runs(
                flow_filter=FlowFilter(name=FlowFilterName(any_=[FLOW])),
                deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=[recipe])),
                flow_run_filter=FlowRunFilter(
                    state=FlowRunFilterState(type=FlowRunFilterStateType(any_=_GOES_ON)),
                ),
                limit=1,
            )
        )
