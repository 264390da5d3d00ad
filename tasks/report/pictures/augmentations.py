"""The picture of one training image under nine augmentations."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from thaw.tasks.report.pictures.style import GREY, show_pixels


def draw_augmentations(original: npt.NDArray[np.uint8], augmented: Sequence[npt.NDArray[np.uint8]]) -> Figure:
    """Draw the image large at the left, and its nine versions in a square at the right."""
    figure = Figure(figsize=(8.2, 4.6))
    left = figure.add_gridspec(1, 1, left=0.01, right=0.43, bottom=0.02, top=0.92)
    right = figure.add_gridspec(3, 3, left=0.46, right=0.99, bottom=0.02, top=0.92, wspace=0.04, hspace=0.04)
    show_pixels(figure.add_subplot(left[0]), original)
    figure.text(0.22, 0.945, "as it is", ha="center", fontsize=10, color=GREY)
    figure.text(0.725, 0.945, "as the model may see it in training", ha="center", fontsize=10, color=GREY)
    for place, pixels in enumerate(augmented):
        show_pixels(figure.add_subplot(right[divmod(place, 3)]), pixels)
    return figure
