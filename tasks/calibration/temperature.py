"""One temperature for a model's logits, by their cross-entropy (Guo et al., 2017). No TensorFlow.

What is minimized is the cross-entropy of the images and, as if no image had been seen yet, a Gamma prior of 1/T whose
mode is T = 1. It is worth something where there are few images, or few mistakes: without a mistake the cross-entropy
alone would have T go to 0, and with one or two it makes probabilities worse more often than better. Both parts are
convex in 1/T, so there is one minimum.
"""

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from thaw.pipeline_config.errors import DatasetError

# The prior's standard deviation of 1/T is 0.45 (1 / sqrt of this); a hundred images or so outweigh it.
_PRIOR_STRENGTH = 5.0
# Float32 logits of a classifier differ by less than some hundreds: past these factors all answers of a model would be
# equally likely, or all certain.
_LOWEST, _HIGHEST = 0.01, 100.0
_DIGITS = 4  # significant; so that the last bits of logits, which a GPU changes, do not change the model

Logits = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int32]


def fit_temperature(logits: Logits, labels: Labels) -> float:
    """Find by which number logits (images, classes) are to be divided, from 0.01 to 100.

    The mean cross-entropy of these images is never more than with temperature 1.

    Raises:
        DatasetError: There are no images.
    """
    if not len(labels):
        raise DatasetError("The validation split has no images, expected at least one: a temperature needs some.")

    def cost(log_inverse: float) -> float:
        inverse = np.exp(log_inverse)
        prior = _PRIOR_STRENGTH * (inverse - 1 - log_inverse)
        return float(len(labels) * cross_entropy(logits, labels, 1 / inverse) + prior)

    bounds = (np.log(1 / _HIGHEST), np.log(1 / _LOWEST))
    found = minimize_scalar(cost, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    temperature = float(f"{np.exp(-found.x):.{_DIGITS}g}")
    is_better = cross_entropy(logits, labels, temperature) < cross_entropy(logits, labels, 1.0)
    return temperature if is_better else 1.0


def cross_entropy(logits: Logits, labels: Labels, temperature: float) -> float:
    """Compute the mean cross-entropy in nats, from logits that are divided by the temperature."""
    logs = log_softmax(logits.astype(np.float64) / temperature, axis=1)
    return float(abs(logs[np.arange(len(labels)), labels].mean()))


def probabilities(logits: Logits, temperature: float) -> npt.NDArray[np.float64]:
    """Compute the probabilities (images, classes) of logits that are divided by the temperature."""
    values: npt.NDArray[np.float64] = np.exp(log_softmax(logits.astype(np.float64) / temperature, axis=1))
    return values
