"""From which probability on an answer counts: those above are shown to be right as often as was asked. No TensorFlow.

Simulated, with the threshold chosen among all on the same images: in at most one case of twenty at confidence 0.95, and
of seven at 0.9, are the answers above it right less often (tests/calibration/test_threshold.py).
"""

import numpy as np
import numpy.typing as npt
from scipy.stats import beta

from thaw.pipeline_config.schema import AbstainConfig
from thaw.tasks.releases.abstention import NOTHING_IS_SURE, Abstention, Answered

# Thresholds are multiples of this: formats answer within 1e-5 of each other, and are not to differ in what is unsure.
_STEPS = 10_000


def find_threshold(top: npt.NDArray[np.float64], right: npt.NDArray[np.bool_], asked: AbstainConfig) -> Abstention:
    """Find the lowest threshold above which the share of right answers is shown to be as high as was asked.

    Shown is what the lower end of the one-sided interval of Clopper and Pearson is, at the confidence that was asked.
    Of the top probability of each image, (images,), and whether that class is right, (images,).
    """
    thresholds = np.unique(np.ceil(top * _STEPS) - 1) / _STEPS
    ascending = np.sort(top)
    answered = len(top) - np.searchsorted(ascending, thresholds, side="right")
    right_ascending = np.sort(top[right])
    correct = len(right_ascending) - np.searchsorted(right_ascending, thresholds, side="right")
    shown = np.flatnonzero(lowest_share(correct, answered, asked.confidence) >= asked.right)
    threshold = float(thresholds[shown[0]]) if len(shown) else NOTHING_IS_SURE
    return Abstention(**dict(asked), threshold=threshold, validation=Answered.above(threshold, top, right))


def lowest_share(
    successes: npt.NDArray[np.int64], trials: npt.NDArray[np.int64], confidence: float
) -> npt.NDArray[np.float64]:
    """Compute the lower end of Clopper and Pearson's one-sided interval; each has a trial or more."""
    ends = beta.ppf(1 - confidence, np.maximum(successes, 1), trials - successes + 1)
    lowest: npt.NDArray[np.float64] = np.where(successes > 0, ends, 0.0)
    return lowest


def fewest_images(asked: AbstainConfig) -> int:
    """Say how many images, all of them right, would show that answers are right as often as was asked."""
    return int(np.ceil(np.log(1 - asked.confidence) / np.log(asked.right)))
