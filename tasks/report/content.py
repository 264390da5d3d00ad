"""All that the page shows, as values. No TensorFlow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from thaw.pipeline_config.dataset_schema import SplitName
from thaw.tasks.evaluation.earned import StagesTested
from thaw.tasks.evaluation.metrics import SplitMetrics
from thaw.tasks.releases.verdict import Verdict


@dataclass(frozen=True)
class Answer:
    """One test image, as a data URI, its file's name, and the answer with its probability, 0 to 1.

    The champion's answer is None where it is not to be shown.
    """

    uri: str
    origin: str
    true: str
    predicted: str
    probability: float
    champion: str | None = None
    champion_probability: float = 0.0


@dataclass(frozen=True)
class ChangedClass:
    """A class with the images of it that got better, or worse: some to see, and how many more there are."""

    name: str
    answers: Sequence[Answer]
    more: int


@dataclass(frozen=True)
class Changed:
    """What got better, or worse: how many images, the classes with the most, and how many images are of others."""

    images: int
    classes: Sequence[ChangedClass]
    more: int


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
    """All that the report shows.

    `resolution`, in pixels, is that of the model that is released, and `choice` says why it is that stage's, if another
    might have been. `source` is the kind of the source, and `images` has the numbers of images by split. What got
    better and worse is None where there is no champion. `python` loads the model, and `digests` are SHA-256 by a name
    for the reader.
    """

    recipe_name: str
    source: str
    images: Mapping[SplitName, int]
    backbone: str
    resolution: int
    choice: str
    verdict: Verdict
    metrics: SplitMetrics
    tested: StagesTested
    stages: Sequence[StageSummary]
    better: Changed | None
    worse: Changed | None
    mistakes: Sequence[Answer]
    some: Sequence[Answer]
    augmented: bool
    python: str
    digests: Mapping[str, str]
