"""Where commands print their results."""

import sys

from rich.console import Console

_WIDTH_OF_A_FILE = 160  # where there is no terminal, rich takes 80 columns, and cuts what is to be copied from a table


def result_console() -> Console:
    """Make a console for standard output.

    Returns:
        As wide as the terminal, or wide enough for every table.
    """
    return Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH_OF_A_FILE)
