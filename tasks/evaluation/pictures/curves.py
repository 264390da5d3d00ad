"""The picture of both stages' learning curves: accuracy above, loss below, the start of stage two marked."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from thaw.tasks.evaluation.history import Curve
from thaw.tasks.evaluation.pictures.style import BLUE, INK, ORANGE, percent

_LINES: dict[str, dict[str, Any]] = {
    "training": {"color": ORANGE, "linestyle": (0, (4, 2)), "marker": "s", "markersize": 3.5},
    "validation": {"color": BLUE, "linestyle": "-", "marker": "o", "markersize": 4.5},
}


def draw_learning_curves(accuracy: Sequence[Curve], loss: Sequence[Curve], kept_epochs: Sequence[int]) -> Figure:
    """Draw accuracy and loss of training and validation over all epochs of both stages.

    Args:
        accuracy: One curve per stage, in the order of training.
        loss: The same for the loss.
        kept_epochs: Per stage, the epoch within it whose weights were kept; its validation value gets a ring.

    Returns:
        The figure.
    """
    figure = Figure(figsize=(7.0, 5.8), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    _draw_panel(upper, accuracy, kept_epochs)
    _draw_panel(lower, loss, kept_epochs)
    _name_starts(upper, accuracy)
    upper.set_ylabel("accuracy")
    upper.yaxis.set_major_formatter(lambda share, _: percent(share))
    lower.set_ylabel("loss")
    lower.set_ylim(bottom=0)
    lower.set_xlabel("epoch (0 is before the first step)")
    lower.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    ring = Line2D(
        [], [], linestyle="", marker="o", clip_on=False, markersize=10, markerfacecolor="none", markeredgecolor=BLUE
    )
    handles = [Line2D([], [], **style) for style in _LINES.values()]
    figure.legend([*handles, ring], [*_LINES, "kept weights"], loc="outside upper center", ncols=3, handlelength=2.6)
    return figure


def _draw_panel(axes: Axes, curves: Sequence[Curve], kept_epochs: Sequence[int]) -> None:
    axes.grid(visible=True, axis="y")
    for curve, kept in zip(curves, kept_epochs, strict=True):
        for name, points in (("training", curve.training), ("validation", curve.validation)):
            axes.plot([x for x, _ in points], [y for _, y in points], **_LINES[name])
        kept_value = dict(curve.validation).get(curve.start + kept)
        if kept_value is not None:
            axes.plot(
                curve.start + kept,
                kept_value,
                "o",
                clip_on=False,
                markersize=10,
                markerfacecolor="none",
                markeredgecolor=BLUE,
            )
    for curve in curves[1:]:
        axes.axvline(curve.start, color=INK, linewidth=1.2, linestyle=":", zorder=0)


def _name_starts(axes: Axes, curves: Sequence[Curve]) -> None:
    # Above the panel, where no curve can be in the way.
    for curve in curves[1:]:
        axes.annotate(
            f"{curve.stage.replace('_', ' ')} starts",
            (curve.start, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 4),
            textcoords="offset points",
            color=INK,
            ha="center",
            va="bottom",
        )
