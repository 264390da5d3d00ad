"""The report: one HTML file that needs nothing else, from the metrics, the stages' facts and the pictures."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
from PIL import Image

from thaw.tasks.evaluation.metrics import ClassScore, SplitMetrics

TEMPLATE_NAME = "report.html.j2"
LONG_TABLE = 20  # classes; a longer table is folded, and the worst classes stand before it
_WORST = 10
_CSS_PIXELS_PER_INCH = 96
_SPACE = "\N{NO-BREAK SPACE}"


@dataclass(frozen=True)
class StageSummary:
    """What the report says of one stage.

    Attributes:
        name: For example "stage two".
        resolution: Height and width of the images, in pixels.
        trained: What was trained, in words.
        trainable_parameters: Numbers that learned.
        parameters: Numbers in the model.
        epochs: Epochs that were run.
        kept_epoch: The epoch whose weights were kept.
        accuracy_before: Validation accuracy before the first step, range [0, 1].
        accuracy_after: Validation accuracy of the kept weights, range [0, 1].
        loss_before: Validation loss before the first step.
        loss_after: Validation loss of the kept weights.
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
    """All that the report shows.

    Attributes:
        recipe_name: The recipe's name.
        backbone: The backbone's name.
        metrics: The test split's metrics.
        stages: The stages, in the order of training.
        training_images: Number of images in the train split.
        digests: What it was all made from: SHA-256 by a name for the reader.
        augmented: Whether training changes its images at random.
    """

    recipe_name: str
    backbone: str
    metrics: SplitMetrics
    stages: Sequence[StageSummary]
    training_images: int
    digests: Mapping[str, str]
    augmented: bool


@dataclass(frozen=True)
class _Picture:
    uri: str
    width: int
    height: int


def render_report(content: ReportContent, pictures: Path) -> str:
    """Write the report.

    Args:
        content: What it says.
        pictures: Folder of PNG files, which become part of the page.

    Returns:
        The HTML document. It asks for nothing from outside, and whatever comes from the data is escaped.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(percent=percent, points=points, number=number)
    metrics = content.metrics
    return environment.get_template(TEMPLATE_NAME).render(
        content=content,
        metrics=metrics,
        wrong=metrics["examples"] - metrics["correct"],
        largest_class=max(metrics["per_class"], key=lambda score: score["examples"]),
        worst=worst_classes(metrics["per_class"], _WORST) if len(metrics["per_class"]) > LONG_TABLE else [],
        pictures={path.stem: _embed(path) for path in sorted(pictures.glob("*.png"))},
    )


def worst_classes(scores: Sequence[ClassScore], wanted: int) -> list[ClassScore]:
    """Find the classes with the lowest F1 among those that have test images.

    Args:
        scores: Scores of all classes.
        wanted: How many to find at most.

    Returns:
        The scores, the worst first.
    """
    return sorted((score for score in scores if score["examples"]), key=lambda score: score["f1"])[:wanted]


def percent(share: float) -> str:
    """Write a share as a percentage.

    Args:
        share: From 0 to 1.

    Returns:
        For example "95.7 %", with a space at which no line breaks.
    """
    return f"{100 * share:.1f}{_SPACE}%"


def points(difference: float) -> str:
    """Write a difference of two shares.

    Args:
        difference: From -1 to 1.

    Returns:
        Percentage points, for example "+1.2 points"; "no change" where that would read 0.0.
    """
    text = f"{100 * difference:+.1f}"
    return "no change" if text in ("+0.0", "-0.0") else f"{text.replace('-', '−')}{_SPACE}points"


def number(value: int) -> str:
    """Write a number.

    Args:
        value: Any whole number.

    Returns:
        The number with commas between thousands.
    """
    return f"{value:,}"


def _embed(path: Path) -> _Picture:
    with Image.open(path) as image:
        width, height = image.size
        scale = _CSS_PIXELS_PER_INCH / image.info["dpi"][0]
    return _Picture(
        uri="data:image/png;base64," + base64.b64encode(path.read_bytes()).decode(),
        width=round(width * scale),
        height=round(height * scale),
    )
