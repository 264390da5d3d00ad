"""The picture of both stages' learning curves: accuracy above, loss below, the start of stage two marked."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from thaw.tasks.report.history import Curve
from thaw.tasks.report.pictures.style import BLUE, INK, ORANGE, percent

_LINES: dict[str, dict[str, Any]] = {
    "training": {"color": ORANGE, "linestyle": (0, (4, 2)), "marker": "s", "markersize": 3.5},
    "validation": {"color": BLUE, "linestyle": "-", "marker": "o", "markersize": 4.5},
    "kept weights": {"color": BLUE, "linestyle": "", "marker": "o", "markersize": 10, "fillstyle": "none"},
}


def draw_learning_curves(accuracy: Sequence[Curve], loss: Sequence[Curve], kept_epochs: Sequence[int]) -> Figure:
    """Draw accuracy and loss of training and validation, one curve per stage.

    A ring marks each stage's kept weights; `kept_epochs` are counted within the stages.
    """
    figure = Figure(figsize=(7.0, 5.8), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    _draw_panel(upper, accuracy, kept_epochs)
    _draw_panel(lower, loss, kept_epochs)
    for curve in accuracy[1:]:
        _name_start(upper, curve)
    upper.set_ylabel("accuracy")
    lower.set(ylabel="loss", xlabel="epoch (0 is before the first step)")
    lower.set_ylim(bottom=0)
    upper.yaxis.set_major_formatter(lambda share, _: percent(share))
    lower.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    handles = [Line2D([], [], **style) for style in _LINES.values()]
    figure.legend(handles, list(_LINES), loc="outside upper center", ncols=3, handlelength=2.6)
    return figure


def _draw_panel(axes: Axes, curves: Sequence[Curve], kept_epochs: Sequence[int]) -> None:
    axes.grid(visible=True, axis="y")
    for curve, kept in zip(curves, kept_epochs, strict=True):
        for name, points in (("training", curve.training), ("validation", curve.validation)):
            axes.plot([x for x, _ in points], [y for _, y in points], **_LINES[name])
        kept_value = dict(curve.validation).get(curve.start + kept)
        if kept_value is not None:
            axes.plot(curve.start + kept, kept_value, **_LINES["kept weights"], clip_on=False)
    for curve in curves[1:]:
        axes.axvline(curve.start, color=INK, linewidth=1.2, linestyle=":", zorder=0)


def _name_start(axes: Axes, curve: Curve) -> None:
    words = f"{curve.stage.replace('_', ' ')} starts"
    # Above the panel, where no curve can be in the way.
    place: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "xytext": (0, 4), "textcoords": "offset points"}
    axes.annotate(words, (curve.start, 1), **place, color=INK, ha="center", va="bottom")
