"""The report: one HTML file that needs nothing else, from the metrics, the stages' facts and the pictures."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
from PIL import Image

from thaw.tasks.evaluation.metrics import ClassScore, SplitMetrics

LONG_TABLE = 20  # classes; a longer table is folded, and the worst classes stand before it
_WORST = 10
_CSS_PIXELS_PER_INCH = 96
_SPACE = "\N{NO-BREAK SPACE}"


@dataclass(frozen=True)
class StageSummary:
    """What the report says of one stage.

    `trained` says in words what learned. Accuracy, 0 to 1, and loss are those of the validation split: before the first
    step, and of the kept weights.
    """

    name: str
    resolution: int
    trained: str
    trainable_parameters: int
    parameters: int
    epochs: int
    kept_epoch: int
    accuracy_before: float
    accuracy_after: float
    loss_before: float
    loss_after: float


@dataclass(frozen=True)
class ReportContent:
    """All that the report shows; `digests` are SHA-256 by a name for the reader."""

    recipe_name: str
    backbone: str
    metrics: SplitMetrics
    stages: Sequence[StageSummary]
    training_images: int
    digests: Mapping[str, str]
    augmented: bool


def render_report(content: ReportContent, pictures: Path) -> str:
    """Write the report as HTML, with the PNG files of a folder in it.

    The page asks for nothing from outside, and whatever comes from the data is escaped.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(percent=percent, points=points, number="{:,}".format)
    metrics = content.metrics
    return environment.get_template("report.html.j2").render(
        content=content,
        metrics=metrics,
        wrong=metrics["examples"] - metrics["correct"],
        largest_class=max(metrics["per_class"], key=lambda score: score["examples"]),
        worst=worst_classes(metrics["per_class"], _WORST) if len(metrics["per_class"]) > LONG_TABLE else [],
        pictures={path.stem: _embed(path) for path in sorted(pictures.glob("*.png"))},
    )


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


def _embed(path: Path) -> dict[str, str | int]:
    with Image.open(path) as image:
        width, height = image.size
        scale = _CSS_PIXELS_PER_INCH / image.info["dpi"][0]
    uri = "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
    return {"uri": uri, "width": round(width * scale), "height": round(height * scale)}
