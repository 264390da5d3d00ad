"""Where commands print, and how their tables look. All consoles are made here, and take what they print as it is."""

import sys
from typing import Any

from rich.console import Console
from rich.table import Column, Table

_WIDTH_OF_A_FILE = 160  # where there is no terminal, rich takes 80 columns, and cuts what is to be copied from a table


def result_console() -> Console:
    """Make a console for standard output: as wide as the terminal, or wide enough for every table."""
    return _plain_console(width=None if sys.stdout.isatty() else _WIDTH_OF_A_FILE)


def status_console() -> Console:
    """Make a console for standard error, where is shown what goes on."""
    return _plain_console(stderr=True)


def _plain_console(**options: Any) -> Console:
    # Names and paths may hold what rich takes for markup: `[old]` would be left out, and `[/old]` is an error to it.
    return Console(markup=False, emoji=False, highlight=False, **options)


def plain_table(*columns: Column | str) -> Table:
    """Make a table without lines."""
    return Table(*columns, box=None, pad_edge=False)
