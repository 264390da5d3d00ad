"""What `thaw run` shows while it works: a progress bar on a terminal, plain lines where there is none."""

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from thaw.tasks.progress import Event

_PREFIXES = {"log": "", "warning": "warning: "}  # of what is shown as a line; all else is for the logs


class LiveProgress(Progress):
    """Shows the events of a run; a context manager, and the subscriber of `thaw.tasks.progress`."""

    def __init__(self, console: Console) -> None:
        """Show on a console, usually standard error."""
        super().__init__(
            TextColumn("{task.fields[step]:<10}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f} %", markup=False),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False),
            console=console,
            disable=not console.is_terminal,
        )
        self._bars: dict[str, TaskID] = {}

    def __call__(self, event: Event) -> None:
        """Show one event."""
        part = f"{event.about.part}: " if event.about.part else ""
        if event.kind == "progress":
            self._draw(f"{part}{event.step}", event)
        elif event.kind in _PREFIXES:
            self.console.print(f"thaw: {_PREFIXES[event.kind]}{part}{event.text}", soft_wrap=True)

    def _draw(self, name: str, event: Event) -> None:
        if name not in self._bars:
            self._bars[name] = self.add_task("", total=1.0, step=name)
        self.update(self._bars[name], completed=event.done, description=event.text)
