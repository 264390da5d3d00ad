"""How two classifiers differ in accuracy, with an interval over the seeds and the images that might have been drawn.

Both are trained with the same seeds and tested on the same images. The difference of one seed on one image is 1, 0 or
-1; it is taken as a mean, plus an effect of the seed, plus an effect of the image, plus a rest, all independent. Their
variances follow from the mean squares of the two-way analysis of variance. The interval is the mean, and Student's t
times its standard error on either side; the degrees of freedom are Satterthwaite's. With three seeds that disagree, it
is wide. A bootstrap over so few seeds would be too narrow: three can be drawn in only ten ways.

Before that, two images are added, one that each side wins: Agresti and Min's correction for pairs (Statistics in
Medicine 24, 2005). Without it, four images that all go one way would be called a difference, at six times the error.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict
from scipy.stats import t

CONFIDENCE = 0.95

Bools = npt.NDArray[np.bool_]
Outcome = Literal["first", "second", "none shown"]


class Difference(BaseModel):
    """The accuracy of the first less that of the second, mean over the seeds, and the ends of its 95 % interval."""

    model_config = ConfigDict(frozen=True)

    estimate: float
    low: float
    high: float

    @property
    def better(self) -> Outcome:
        """Which of the two is better beyond chance."""
        if self.low > 0:
            return "first"
        return "second" if self.high < 0 else "none shown"


def paired_difference(first: Bools, second: Bools) -> Difference:
    """Compare where two classifiers were right, (seeds, images), with the same seeds and images in the same order.

    With one seed, the interval says nothing about other seeds.

    Raises:
        ValueError: The two have different shapes, or there is nothing in them.
    """
    if first.shape != second.shape or first.ndim != 2 or first.size == 0:
        raise ValueError(f"Expected two arrays (seeds, images) of one shape, received {first.shape}, {second.shape}.")
    differences = first.astype(np.float64) - second.astype(np.float64)
    corrected = np.hstack([differences, np.ones((len(differences), 1)), -np.ones((len(differences), 1))])
    variance, degrees = _variance_of_mean(corrected)
    half = float(t.ppf((1 + CONFIDENCE) / 2, degrees) * np.sqrt(variance))
    center = float(corrected.mean())
    return Difference(estimate=float(differences.mean()), low=max(center - half, -1.0), high=min(center + half, 1.0))


def _variance_of_mean(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Estimate the variance of the mean of (seeds, images), and its degrees of freedom."""
    seeds, images = values.shape
    by_image = values.mean(axis=0) - values.mean()
    of_images = float(seeds * (by_image**2).sum() / (images - 1))
    if seeds == 1:
        return of_images / images, images - 1
    by_seed = values.mean(axis=1) - values.mean()
    of_seeds = float(images * (by_seed**2).sum() / (seeds - 1))
    rest = values - values.mean() - by_image - by_seed[:, np.newaxis]
    of_rest = float((rest**2).sum() / ((seeds - 1) * (images - 1)))
    # Where the seeds, or the images, differ less than the rest lets expect, their own effect is taken as none.
    terms = [
        (max(of_seeds, of_rest), seeds - 1),
        (max(of_images, of_rest), images - 1),
        (-of_rest, (seeds - 1) * (images - 1)),
    ]
    total = sum(term for term, _ in terms)
    degrees = total**2 / sum(term**2 / degree for term, degree in terms)
    return total / (seeds * images), degrees
