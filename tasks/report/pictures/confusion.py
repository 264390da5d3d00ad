"""The picture of the confusion matrix, from 2 classes to hundreds."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from thaw.tasks.report.pictures.style import INK, percent, shorten, text_width

MOST_WITH_NUMBERS = 20  # classes; above, numbers in the cells would be too small to read
_MOST_LABELS = 30
_WIDEST = 1.1  # inches, of a name
_BESIDE = 1.3  # inches, about what the names of the rows and the label take of the figure's side


def draw_confusion_matrix(matrix: Sequence[Sequence[int]], classes: Sequence[str]) -> Figure:
    """Draw one cell per pair of true class (row) and predicted class (column), coloured by the share of its row.

    Up to 20 classes have the number of images in the cell; more have colours only.
    """
    counts = np.asarray(matrix)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(7.8, 2.6 + 0.62 * len(classes))
    figure = Figure(figsize=(side + 0.9, side), layout="constrained")
    axes = figure.add_subplot()
    # The square root lets a single mistake among many images show beside the diagonal.
    picture = axes.imshow(shares, cmap="Blues", norm=PowerNorm(0.5, vmin=0, vmax=1), interpolation="nearest")
    bar = figure.colorbar(picture, ax=axes, shrink=0.7, ticks=[0, 0.1, 0.25, 0.5, 0.75, 1])
    bar.ax.yaxis.set_major_formatter(lambda share, _: percent(share))
    bar.set_label("share of the true class")
    bar.outline.set_visible(False)
    axes.set(xlabel="predicted class", ylabel="true class")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    _label(axes, classes, cell=(side - _BESIDE) / len(classes))
    if len(classes) <= MOST_WITH_NUMBERS:
        _write_numbers(axes, counts, shares)
    return figure


def _label(axes: Axes, classes: Sequence[str], cell: float) -> None:
    step = -(-len(classes) // _MOST_LABELS)
    places = range(0, len(classes), step)
    size = 9 if len(places) <= 12 else 7.5
    names = [shorten(classes[place], _WIDEST, size) for place in places]
    level = step == 1 and max(text_width(name, size) for name in names) <= 0.9 * cell
    tilt: dict[str, Any] = {} if level else {"rotation": 50, "ha": "right", "rotation_mode": "anchor"}
    axes.set_yticks(places, names, fontsize=size)
    axes.set_xticks(places, names, fontsize=size, **tilt)
    if step == 1:
        axes.set_xticks(np.arange(0.5, len(classes) - 1), minor=True)
        axes.set_yticks(np.arange(0.5, len(classes) - 1), minor=True)
        axes.tick_params(which="minor", length=0)
        axes.grid(visible=True, which="minor", color="white", linewidth=1.5)


def _write_numbers(axes: Axes, counts: npt.NDArray[np.int64], shares: npt.NDArray[np.float64]) -> None:
    size = 12 if len(counts) <= 6 else 10 if len(counts) <= 12 else 7.5
    for (row, column), count in np.ndenumerate(counts):
        if count == 0 and row != column:
            continue  # an empty cell says it, and leaves the mistakes easy to find
        color = "white" if shares[row, column] > 0.35 else INK
        axes.text(column, row, f"{count:,}", ha="center", va="center", fontsize=size, color=color)
