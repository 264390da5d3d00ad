"""The page: one HTML file that needs nothing else, from the verdict, the metrics, the stages and the pictures."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from PIL import Image

from thaw.tasks.evaluation.intervals import wilson_interval
from thaw.tasks.evaluation.metrics import ClassScore
from thaw.tasks.releases.verdict import Comparison, Verdict
from thaw.tasks.report.content import ReportContent
from thaw.tasks.report.finishing import ID_PLACE

LONG_TABLE = 20  # classes; a longer table is folded, and the worst classes stand before it
_WORST = 10
_CSS_PIXELS_PER_INCH = 96
_SPACE = "\N{NO-BREAK SPACE}"


@dataclass(frozen=True)
class Side:
    """One of the two models that were compared, on the images that count for both."""

    name: str
    accuracy: float
    accuracy_ci: Sequence[float]
    alone: int


def template(name: str, **filters: Callable[..., str]) -> jinja2.Template:
    """Load a template of this folder, which escapes what it is given; with the filters that all have, and more."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(percent=percent, points=points, number="{:,}".format, **filters)
    return environment.get_template(name)


def render_report(content: ReportContent, pictures: Path) -> str:
    """Write the report as HTML, with the PNG files of a folder in it, and `ID_PLACE` where the release's id goes.

    The page asks for nothing from outside, and whatever comes from the data is escaped.
    """
    metrics = content.metrics
    return template("report.html.j2").render(
        vars(content),
        id=Markup(ID_PLACE),  # noqa: S704 (a constant)
        sides=sides(content.verdict, metrics["confidence"]),
        wrong=metrics["examples"] - metrics["correct"],
        largest_class=max(metrics["per_class"], key=lambda score: score["examples"]),
        worst=worst_classes(metrics["per_class"], _WORST) if len(metrics["per_class"]) > LONG_TABLE else [],
        pictures={path.stem: embed(path) for path in sorted(pictures.glob("*.png"))},
    )


def sides(verdict: Verdict, confidence: float) -> list[Side]:
    """Set the new model beside what it was compared with; nothing where no image could be compared."""
    compared = verdict.compared
    if compared is None or compared.images == 0:
        return []
    other = verdict.champion.release if verdict.champion else "Always the largest class"
    return [
        _side("The new model", compared.accuracy, compared.gained, compared, confidence),
        _side(other, compared.other_accuracy, compared.lost, compared, confidence),
    ]


def _side(name: str, accuracy: float, alone: int, compared: Comparison, confidence: float) -> Side:
    correct = round(accuracy * compared.images)
    return Side(name, accuracy, wilson_interval(correct, compared.images, confidence), alone)


def worst_classes(scores: Sequence[ClassScore], wanted: int) -> list[ClassScore]:
    """Find the classes with the lowest F1 among those that have test images, the worst first."""
    return sorted((score for score in scores if score["examples"]), key=lambda score: score["f1"])[:wanted]


def percent(share: float) -> str:
    """Write a share, 0 to 1, as for example "95.7 %", with a space at which no line breaks."""
    return f"{100 * share:.1f}{_SPACE}%"


def points(difference: float) -> str:
    """Write a difference of two shares as for example "+1.2 points"; "no change" where that would read 0.0."""
    text = f"{100 * difference:+.1f}"
    return "no change" if text in ("+0.0", "-0.0") else f"{text.replace('-', '−')}{_SPACE}points"


def embed(path: Path) -> dict[str, Any]:
    """Make a PNG file a data URI, `uri`, with its `width` and `height` in pixels of CSS."""
    with Image.open(path) as image:
        width, height = image.size
        scale = _CSS_PIXELS_PER_INCH / image.info["dpi"][0]
    uri = "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
    return {"uri": uri, "width": round(width * scale), "height": round(height * scale)}
