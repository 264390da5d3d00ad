"""What all pictures have in common: colours, fonts, the shortening of names, and the way to PNG bytes."""

import bisect
import io
import unicodedata
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextToPath
from PIL import Image

# Okabe and Ito's colours, which all kinds of colour vision can tell apart; the last two are darkened for text.
BLUE = "#0072B2"
ORANGE = "#D55E00"
GREY = "#6B7280"
INK = "#1F2933"
RIGHT = "#00795C"
WRONG = "#B3410B"

_PLOT_DPI = 160
_PHOTO_DPI = 110  # photos fill their area with colours that do not compress

_POINTS_PER_INCH = 72
_LONGEST_NAME = 200  # characters that are looked at; far more than fit
TINY = 64  # pixels; below, an image is shown as squares rather than blurred

_STYLE: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib, so the bytes do not depend on the machine's fonts
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlepad": 8,
    "axes.edgecolor": "#C2C8D0",
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "grid.color": "#E5E8EC",
    "text.color": INK,
    "text.parse_math": False,  # a class may be named "$5 $10"
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


def save_picture(path: Path, draw: Callable[[], Figure], *, photos: bool = False) -> None:
    """Draw a picture in the common style and write it as PNG; equal pictures give equal bytes.

    `draw` is called within the style, whatever the machine's matplotlib settings are. `photos` says whether the picture
    shows images of the dataset rather than lines and areas.
    """
    buffer = io.BytesIO()
    dpi = _PHOTO_DPI if photos else _PLOT_DPI
    with matplotlib.style.context(["default", _STYLE]), warnings.catch_warnings():
        # A class name in a script that the font lacks shows as boxes here; the report's text has it in full.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = draw()
        figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight", pad_inches=0.06, metadata={"Software": None})
    buffer.seek(0)
    with Image.open(buffer) as image:
        _with_few_colours(image.convert("RGB"), photos).save(path, format="PNG", optimize=True, dpi=(dpi, dpi))


def _with_few_colours(image: Image.Image, dithered: bool) -> Image.Image:
    # 256 colours look the same and make the file half as large; photos need dithering for that, areas would get noise.
    result = palette = image.quantize(256, method=Image.Quantize.MEDIANCUT)
    if dithered:
        result = image.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
    # Quantizing moves white a little; it is put back, or the picture would stand out from its white frame.
    colours = np.array(palette.getpalette(), np.uint8).reshape(-1, 3)
    white = int(colours.sum(axis=1).argmax())
    colours[white] = 255
    indices = np.array(result)
    indices[(np.asarray(image) == 255).all(axis=2)] = white
    exact = Image.fromarray(indices, mode="P")
    exact.putpalette(colours.tobytes())
    return exact


def shorten(name: str, inches: float, size: float) -> str:
    """Make any text fit into a width, with a font's size in points.

    It comes back on one line without control characters; where it is too wide, its beginning and an ellipsis.
    """
    printable = "".join(" " if unicodedata.category(character).startswith("C") else character for character in name)
    line = " ".join(printable[:_LONGEST_NAME].split())
    if text_width(line, size) <= inches:
        return line
    fitting = bisect.bisect_right(range(len(line)), inches, key=lambda end: text_width(line[:end] + "…", size))
    return line[: max(fitting - 1, 1)].rstrip() + "…"


def text_width(text: str, size: float) -> float:
    """Measure a line of text, in inches, with a font's size in points."""
    font = FontProperties(family="DejaVu Sans", size=size)
    width, _, _ = TextToPath().get_text_width_height_descent(text, font, ismath=False)
    return float(width) / _POINTS_PER_INCH


def show_pixels(axes: Axes, pixels: npt.NDArray[np.uint8]) -> None:
    """Show an image (height, width, 3) whole, in the middle of a light square; a tiny one with its pixels visible."""
    height, width = pixels.shape[:2]
    side = max(height, width)
    axes.imshow(pixels, interpolation="nearest" if side < TINY else "antialiased")
    axes.set_xlim((width - side) / 2 - 0.5, (width + side) / 2 - 0.5)
    axes.set_ylim((height + side) / 2 - 0.5, (height - side) / 2 - 0.5)
    axes.set(facecolor="#F1F3F5", xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def percent(share: float) -> str:
    """Write a share, 0 to 1, with as few digits as it needs, such as "97 %" or "97.5 %"."""
    return f"{100 * share:.3g} %"
