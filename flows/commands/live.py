"""What `thaw run` shows while it works: a progress bar on a terminal, plain lines where there is none."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from thaw.tasks.progress import Event


class LiveProgress:
    """Shows the events of a run; a context manager, and the subscriber of `thaw.tasks.progress`."""

    def __init__(self, console: Console) -> None:
        """Show on a console.

        Args:
            console: Standard error, usually.
        """
        self._console = console
        self._bars: dict[str, TaskID] = {}
        self._progress = Progress(
            TextColumn("{task.fields[step]:<10}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False),
            console=console,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> Self:
        """Start to draw."""
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop to draw; the bars stay as they are."""
        self._progress.stop()

    def __call__(self, event: Event) -> None:
        """Show one event.

        Args:
            event: What a step says.
        """
        match event.kind:
            case "progress":
                self._draw(event)
            case "log":
                self._console.print(f"thaw: {_of_run(event)}{event.text}", markup=False, soft_wrap=True)
            case "warning":
                self._console.print(f"thaw: warning: {_of_run(event)}{event.text}", markup=False, soft_wrap=True)

    def _draw(self, event: Event) -> None:
        name = f"{_of_run(event)}{event.step}"
        if name not in self._bars:
            self._bars[name] = self._progress.add_task("", total=1.0, step=name)
        self._progress.update(self._bars[name], completed=event.done, description=event.text)


def _of_run(event: Event) -> str:
    return f"{event.run}: " if event.run else ""
