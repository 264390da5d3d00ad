"""Where commands print their results, and how their tables look."""

import sys

from rich.console import Console
from rich.table import Column, Table

_WIDTH_OF_A_FILE = 160  # where there is no terminal, rich takes 80 columns, and cuts what is to be copied from a table


def result_console() -> Console:
    """Make a console for standard output: as wide as the terminal, or wide enough for every table."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH_OF_A_FILE)


def plain_table(*columns: Column | str) -> Table:
    """Make a table without lines."""
    return Table(*columns, box=None, pad_edge=False)
