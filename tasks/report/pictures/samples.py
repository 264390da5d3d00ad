"""The picture of some training images of each class, one class a row."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from thaw.tasks.report.pictures.style import shorten, show_pixels, text_width

_CELL = 1.05  # inches
_WIDEST = 1.7  # inches, of a name
_FONT = 10


def draw_samples(rows: Sequence[tuple[str, Sequence[npt.NDArray[np.uint8]]]]) -> Figure:
    """Draw a row of images (height, width, 3) per class, its name before it. A row may be shorter than others."""
    columns = max([1, *(len(images) for _, images in rows)])
    names = [shorten(name, _WIDEST, _FONT) for name, _ in rows]
    margin = 0.2 + max(text_width(name, _FONT) for name in names)
    width, height = margin + columns * _CELL, len(rows) * _CELL
    figure = Figure(figsize=(width, height))
    grid = figure.add_gridspec(
        len(rows), columns, left=margin / width, right=0.995, bottom=0.01, top=0.99, wspace=0.05, hspace=0.05
    )
    for row, (name, (_, images)) in enumerate(zip(names, rows, strict=True)):
        middle = (len(rows) - row - 0.5) / len(rows)
        figure.text((margin - 0.12) / width, middle, name, ha="right", va="center", fontsize=_FONT)
        for column, pixels in enumerate(images):
            show_pixels(figure.add_subplot(grid[row, column]), pixels)
    return figure
