"""Whether it pays to keep the outputs of a stage's frozen layers, and for how many views. No TensorFlow.

The answer follows from the recipe and the data. The rates below are those of two cores, rounded; they only have to be
right to a factor of two or so, because what pays mostly pays many times over.
"""

from dataclasses import dataclass

from thaw.pipeline_config.augment_schema import CenterCrop
from thaw.pipeline_config.backbones import BACKBONES
from thaw.pipeline_config.stage_schema import StageConfig

# With 2, 4 and 10 views the tutorial's recipe reached the same accuracy (docs/results.md); each view costs a pass.
DEFAULT_VIEWS = 4
_LEAST_USES = 2  # epochs in which a view is used: with one, there is nothing to save

_MULTIPLICATIONS_PER_SECOND = 30e9
_SECONDS_OF_A_STEP = 4.0  # building and tracing the network once more
_BYTES_WRITTEN_PER_SECOND = 200e6
_BYTES_READ_PER_SECOND = 400e6
_LEAST_SHARE = 0.05  # of a training step's work; below it the files are not worth their place


def possible_views(stage: StageConfig) -> int:
    """Say for how many views of each training image a stage's frozen layers might be run, by its settings alone.

    It is 0 where nothing is frozen or nothing learned, or where the recipe does not want it. The stage is resolved.
    """
    if stage.train == "all" or stage.epochs == 0:
        return 0
    is_random = any(not isinstance(operation, CenterCrop) for operation in stage.augment or [])
    most = stage.epochs if is_random else 1  # where nothing is drawn, all views of an image are the same
    if stage.feature_views != "auto":
        return min(stage.feature_views, most)
    views = min(DEFAULT_VIEWS, stage.epochs // _LEAST_USES, most)
    return 0 if views == 1 and is_random else views  # with one view, every epoch would show the same pictures


def views_of(stage: StageConfig, backbone: str, images: int) -> int:
    """Say the same of a stage whose number of training images is known: 0 also where no step could be saved so."""
    views = possible_views(stage)
    if stage.feature_views != "auto":
        return views
    facts = BACKBONES[backbone]
    multiplications = facts.multiplications * (stage.fit.resolution / facts.resolution) ** 2
    saved = images * (stage.epochs - views) * multiplications  # at most so much: part of the network may be thawed
    return views if saved / _MULTIPLICATIONS_PER_SECOND > _SECONDS_OF_A_STEP else 0


@dataclass(frozen=True)
class Cost:
    """What decides, of one stage."""

    images: int  # for training
    views: int  # of each
    row_bytes: int  # kept of one view of one image
    frozen: int  # multiplications of the frozen layers, for one image
    thawed: int  # those of the others

    @property
    def share(self) -> float:
        """The frozen layers' share of a training step, in which the others are run forward and twice backward."""
        return self.frozen / (self.frozen + 3 * self.thawed)

    @property
    def words(self) -> str:
        """The figures, for the log."""
        megabytes = self.images * self.row_bytes / 1e6
        views = "1 view" if self.views == 1 else f"{self.views} views"
        return (
            f"{views} of {self.images} images, {megabytes:.3g} MB a view; "
            f"the frozen layers are {self.share:.0%} of a step's work"
        )


def pays(cost: Cost) -> bool:
    """Say whether reading what the frozen layers put out is quicker than running them, over all epochs.

    It is asked for the least number of epochs that use a view, so that the answer is the same for more of them.
    """
    saved = (_LEAST_USES - 1) * cost.frozen / _MULTIPLICATIONS_PER_SECOND
    spent = cost.row_bytes * (1 / _BYTES_WRITTEN_PER_SECOND + _LEAST_USES / _BYTES_READ_PER_SECOND)
    return cost.share >= _LEAST_SHARE and saved > spent
