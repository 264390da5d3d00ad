"""Are two samples of vectors of one distribution? The kernel two-sample test of Gretton et al., JMLR 13, 2012. Pure."""

import numpy as np
import numpy.typing as npt

from thaw.tasks.preflight.drift import AT_ONCE, RESAMPLES, SEED

Vectors = npt.NDArray[np.floating]

_ROUNDING = 1e-12  # relative; what differs by less is equal
_DIGITS = 9  # of the estimate, 1 at the most, so that the order of sums does not show


def maximum_mean_discrepancy(before: Vectors, now: Vectors) -> tuple[float, float]:
    """Test whether two samples, (2 or more images, dimensions) each, are of one distribution.

    Returns the unbiased estimate of the squared discrepancy, which may be below zero, and its p value by permutation.
    Memory and time go with the square of the number of images: 2,000 take 160 MB.
    """
    kernel = gaussian_kernel(np.concatenate([before, now]))
    np.fill_diagonal(kernel, 0)  # an image beside itself says nothing
    sums, total, (images, new) = kernel.sum(axis=0), float(kernel.sum()), (len(kernel), len(now))
    old = images - new

    def estimate(is_new: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        # For each column (images,) of ones and zeros. What is within the old ones follows from the other sums.
        within_new = (is_new * (kernel @ is_new)).sum(axis=0)
        between = sums @ is_new - within_new
        within_old = total - 2 * between - within_new
        found: npt.NDArray[np.float64] = within_old / (old * (old - 1)) - 2 * between / (old * new)
        found += within_new / (new * (new - 1))
        return found

    labels = np.repeat([0.0, 1.0], [old, new])
    seen, random, as_far = float(estimate(labels[:, None])[0]), np.random.default_rng(SEED), 0
    for start in range(0, RESAMPLES, AT_ONCE):
        columns = np.tile(labels, (min(AT_ONCE, RESAMPLES - start), 1))
        as_far += int((estimate(random.permuted(columns, axis=1).T) >= seen - _ROUNDING).sum())
    return round(seen, _DIGITS), (as_far + 1) / (RESAMPLES + 1)


def gaussian_kernel(vectors: Vectors) -> npt.NDArray[np.float64]:
    """Compute how alike any two vectors are, (images, images), from 0 to 1, by a Gaussian of their distance.

    Its width is the median distance, so that no unit matters; where that is zero, it is the root of the mean square.
    """
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    squares = (centred**2).sum(axis=1)
    distances = np.maximum(squares[:, None] + squares - 2 * centred @ centred.T, 0)
    distances[distances <= _ROUNDING * squares.max()] = 0
    pairs = distances[~np.eye(len(distances), dtype=bool)]
    width = float(np.median(pairs)) or float(pairs.mean())
    return np.exp(distances / (-2 * width)) if width > 0 else np.ones_like(distances)
