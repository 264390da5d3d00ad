"""The pictures of test images with what the model said of them: nine drawn at random, and the nine worst mistakes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from thaw.tasks.evaluation.pictures.style import GREY, RIGHT, WRONG, shorten, show_pixels, text_width

_COLUMNS = 3
_SIDE = 2.25  # inches, of an image
_BETWEEN = 0.22  # inches, between two images
_FONT = 10
_WIDEST = 1.55  # inches, of a class name; leaves room for "(), 100 %"


@dataclass(frozen=True)
class Answer:
    """One test image, (height, width, 3), and the model's answer: names of classes, and how sure it is, 0 to 1."""

    pixels: npt.NDArray[np.uint8]
    predicted: str
    true: str
    probability: float


def draw_answers(answers: Sequence[Answer], *, if_none: str) -> Figure:
    """Draw images in rows of three, each under its predicted and (true) class; colour and sign say if it is right."""
    if not answers:
        figure = Figure(figsize=(8.2, 1.2))
        figure.text(0.5, 0.5, if_none, ha="center", va="center", fontsize=12, color=GREY)
        return figure
    columns = min(len(answers), _COLUMNS)
    rows = -(-len(answers) // columns)
    titles = [_title(answer, " ") for answer in answers]
    if max(text_width(title, _FONT) for title in titles) > _SIDE:
        titles = [_title(answer, "\n") for answer in answers]
    lines = 1 + titles[0].count("\n")
    gap = 0.14 + 0.2 * lines  # inches above each row
    width, height = columns * (_SIDE + _BETWEEN), rows * (_SIDE + gap)
    figure = Figure(figsize=(width, height))
    for place, (answer, title) in enumerate(zip(answers, titles, strict=True)):
        row, column = divmod(place, columns)
        left, bottom = column * (_SIDE + _BETWEEN) + _BETWEEN / 2, height - (row + 1) * (_SIDE + gap)
        axes = figure.add_axes((left / width, bottom / height, _SIDE / width, _SIDE / height))
        color = RIGHT if answer.predicted == answer.true else WRONG
        show_pixels(axes, answer.pixels, frame=color)
        axes.set_title(title, fontsize=_FONT, color=color, linespacing=1.3, pad=6)
    return figure


def _title(answer: Answer, separator: str) -> str:
    sign = "✓" if answer.predicted == answer.true else "✗"
    predicted, true = (shorten(name, _WIDEST, _FONT) for name in (answer.predicted, answer.true))
    return f"{sign} {predicted}{separator}({true}), {100 * answer.probability:.0f} %"
