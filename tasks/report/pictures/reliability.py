"""The reliability diagram: how often the model is right, by how sure it says it is."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from thaw.tasks.evaluation.metrics import CalibrationBin
from thaw.tasks.report.pictures.style import BLUE, GREY, percent


def draw_reliability(bins: Sequence[CalibrationBin], before: Sequence[CalibrationBin], confidence: float) -> Figure:
    """Draw accuracy over confidence with each bin's interval of a level, and below it where the test images are.

    `before` has the bins of the same model without its temperature.
    """
    figure = Figure(figsize=(6.0, 5.8), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3.2, 1])
    upper.plot([0, 1], [0, 1], color=GREY, linewidth=1.2, linestyle="--")
    for one in before:
        if one["confidence"] is not None:
            upper.plot(one["confidence"], one["accuracy"], "o", color=GREY, markerfacecolor="none", clip_on=False)
    for one in bins:
        _draw_bin(upper, one)
    upper.set(ylabel="share that is right", ylim=(0, 1.02))
    upper.grid(visible=True)
    lows, widths = [one["low"] for one in bins], [one["high"] - one["low"] for one in bins]
    examples = [one["examples"] for one in bins]
    lower.bar(lows, examples, widths, align="edge", color=BLUE, edgecolor="white")
    lower.set(ylabel="images", xlabel="probability of the predicted class", xlim=(0, 1.01))
    for axis in (upper.xaxis, upper.yaxis):
        axis.set_major_formatter(lambda share, _: percent(share))
    lower.yaxis.set_major_locator(MaxNLocator(nbins=3, integer=True))
    figure.legend(
        [
            Line2D([], [], color=BLUE, marker="o", markersize=7),
            Line2D([], [], color=GREY, marker="o", markerfacecolor="none", linestyle=""),
            Line2D([], [], color=GREY, linestyle="--"),
        ],
        [f"calibrated, {percent(confidence)} interval", "not calibrated", "as sure as right"],
        loc="outside upper center",
        ncols=3,
    )
    return figure


def _draw_bin(axes: Axes, one: CalibrationBin) -> None:
    if one["confidence"] is None or one["accuracy"] is None or one["accuracy_ci"] is None:
        return
    low, high = one["accuracy_ci"]
    axes.vlines(one["confidence"], low, high, color=BLUE, linewidth=2, alpha=0.45)
    axes.plot(one["confidence"], one["accuracy"], "o", color=BLUE, markersize=7, clip_on=False)
