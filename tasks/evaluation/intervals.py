"""In which range a share, or the difference of two, is likely to lie. No TensorFlow.

scipy.stats takes a second to import, which a plan has no use for: the facts that it reads only hold such ranges.
"""

import math


def wilson_interval(successes: int, trials: int, confidence: float) -> list[float]:
    """Estimate the range, within [0, 1], in which the true share lies: Wilson's score interval. It needs a trial."""
    from scipy.stats import binomtest

    interval = binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    return [float(interval.low), float(interval.high)]


def agresti_min_interval(gained: int, lost: int, images: int, confidence: float) -> tuple[float, float]:
    """Estimate in which range the difference of two accuracies on the same images lies, -1 to 1.

    `gained` images are right in the first alone, `lost` in the second alone. Agresti and Min, "Simple improved
    confidence intervals for comparing matched proportions", 2005: Wald's interval, after half an image more in each of
    the four cells.
    """
    from scipy.stats import norm

    gained_, lost_, images_ = gained + 0.5, lost + 0.5, images + 2
    center = (gained_ - lost_) / images_
    error = math.sqrt(gained_ + lost_ - (gained_ - lost_) ** 2 / images_) / images_
    half = float(norm.ppf((1 + confidence) / 2)) * error
    return max(center - half, -1.0), min(center + half, 1.0)
