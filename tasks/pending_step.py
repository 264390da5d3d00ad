"""A step that is yet to be asked for: what it depends on may have to be read first, such as a folder of images."""

import functools
import threading
from collections.abc import Callable

from thaw.tasks.artifacts.step import Step
from thaw.tasks.home import Home


class PendingStep:
    """Makes a step when it is first needed, and keeps it. What fails is tried again the next time.

    So whatever is read outside the home folder, or mended in it, is read in a task, with its retries. The event `begun`
    is set when the task runs: it may have to wait before.
    """

    def __init__(self, make: Callable[[], Step], home: Home, *, refresh: bool = False) -> None:
        """Prepare; with `refresh`, whatever was made before under the step's key is forgotten, once."""
        self._make, self._home, self._refresh = make, home, refresh
        self.begun = threading.Event()

    @functools.cached_property
    def step(self) -> Step:
        """The step."""
        step = self._make()
        for made in step.together() if self._refresh else ():
            self._home.store.forget(made.key)
        return step
