"""The picture of a comparison: test accuracy against training seconds, a point per run, and each recipe's mean."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from thaw.tasks.experiments.summary import Comparison
from thaw.tasks.report.pictures.style import BLUE, GREY, INK, ORANGE, RIGHT, WRONG, percent, shorten

_COLOURS = (BLUE, ORANGE, RIGHT, "#CC79A7", GREY, WRONG)  # the fourth is Okabe and Ito's, too
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")  # as many as are needed to tell 42 recipes apart
_NAME_INCHES = 2.5
_LEGEND_SIZE = 9


def draw_comparison(comparison: Comparison) -> Figure:
    """Draw what accuracy cost. Small filled points are runs, large hollow ones are means over the seeds."""
    figure = Figure(figsize=(7.0, 4.6), layout="constrained")
    axes = figure.subplots()
    axes.grid(visible=True)
    for number, recipe in enumerate(comparison.recipes):
        colour, marker = _look(number)
        runs = [run for run in comparison.runs if run.recipe == recipe.recipe]
        seconds, accuracy = [run.training_seconds for run in runs], [run.accuracy for run in runs]
        axes.plot(seconds, accuracy, linestyle="", marker=marker, markersize=6, color=colour, alpha=0.7)
        axes.plot(
            recipe.training_seconds.mean,
            recipe.accuracy.mean,
            marker=marker,
            markersize=14,
            markerfacecolor="none",  # the runs show through
            markeredgecolor=colour,
            markeredgewidth=2,
        )
    axes.set(xlim=(0, None), xlabel="training seconds, both stages", ylabel="test accuracy", axisbelow=True)
    axes.margins(y=0.12)
    axes.yaxis.set_major_formatter(lambda share, _: percent(share) if share <= 1 else "")
    handles, labels = _legend([row.recipe for row in comparison.recipes])
    figure.legend(handles, labels, loc="outside upper left", ncols=2, fontsize=_LEGEND_SIZE)
    return figure


def _legend(names: Sequence[str]) -> tuple[list[Line2D], list[str]]:
    looks = [_look(number) for number in range(len(names))]
    handles = [Line2D([], [], linestyle="", marker=marker, markersize=8, color=colour) for colour, marker in looks]
    large = Line2D([], [], linestyle="", marker="o", markersize=11, markerfacecolor="none", markeredgewidth=2)
    large.set_markeredgecolor(INK)
    small = Line2D([], [], linestyle="", marker="o", markersize=6, color=INK, alpha=0.7)
    shortened = [shorten(name, _NAME_INCHES, _LEGEND_SIZE) for name in names]
    return [*handles, large, small], [*shortened, "mean over the seeds", "one run"]


def _look(number: int) -> tuple[str, str]:
    return _COLOURS[number % len(_COLOURS)], _MARKERS[number % len(_MARKERS)]
