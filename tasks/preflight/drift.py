"""Are the images that were added like those that a release learned from? Three tests, of classes, sizes and brightness.

A recipe may ask for a fourth, of features: `thaw.tasks.feature_drift`.

Whole datasets are not compared: most of their images are the same, and what is new would drown in them. The tests'
levels are parted among them (Bonferroni), so that of samples without a drift a share of `1 - confidence` at the most is
said to have one; `tests/preflight/test_false_alarms.py` counts.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.special import kolmogorov

from thaw.tasks.ingest.dataset import DatasetImage
from thaw.tasks.releases.preflight import Drift, Respect

FEWEST_IMAGES = 20  # fewer say nothing: one photo of another camera would be a drift

RESAMPLES = 1_999  # enough for the smallest level that a recipe can ask for, 0.0005
AT_ONCE = 100  # so many fit into memory, whatever the number of classes
SEED = 0

_TESTS = 3


def level_of_each(confidence: float, *, features: bool) -> float:
    """Part among all tests how often they may show a drift where there is none; with `features` there is one more."""
    return (1 - confidence) / (_TESTS + features)


def drift_of(learned: pa.Table, classes: Sequence[str], added: Sequence[DatasetImage], level: float) -> list[Drift]:
    """Compare images that were added, `FEWEST_IMAGES` or more, with those that a release learned from.

    `learned` has `COLUMNS` of `thaw.tasks.releases.learned_from`, with labels that number `classes`.
    """
    sizes, brightness = (learned[name].to_numpy() for name in ("width", "brightness"))
    sizes = sizes.astype(np.int64) * learned["height"].to_numpy()
    new_sizes = np.asarray([image.width * image.height for image in added])
    new_brightness = np.asarray([image.brightness for image in added], np.float32)
    names = [*classes, *sorted({image.class_name for image in added} - set(classes))]
    number = {name: index for index, name in enumerate(names)}
    before = np.bincount(learned["label"].to_numpy(), minlength=len(names))
    now = np.bincount([number[image.class_name] for image in added], minlength=len(names))
    found: list[tuple[Respect, str, tuple[float, float]]] = [
        ("class mix", "chi-squared, by permutation", chi_squared(before, now)),
        ("size", "Kolmogorov-Smirnov", kolmogorov_smirnov(sizes, new_sizes)),
        ("brightness", "Kolmogorov-Smirnov", kolmogorov_smirnov(brightness, new_brightness)),
    ]
    return [
        Drift(of=of, test=test, statistic=statistic, p_value=p_value, level=level)
        for of, test, (statistic, p_value) in found
    ]


def chi_squared(before: npt.NDArray[np.integer], now: npt.NDArray[np.integer]) -> tuple[float, float]:
    """Test whether two counts of classes, (classes,) each, are of one mix: Pearson's statistic and its p value.

    The p value is that of a permutation test, which is right also where classes have few images.
    """
    total = before + now
    total, now = total[total > 0], now[total > 0]
    images, drawn = int(total.sum()), int(now.sum())
    expected = total * (drawn / images)

    def statistic(counts: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
        # Of both rows of the table: the other one differs from what is expected by as much.
        deviation: npt.NDArray[np.float64] = ((counts - expected) ** 2 / expected).sum(axis=-1)
        return deviation * (images / max(images - drawn, 1))

    seen, random, as_far = float(statistic(now)), np.random.default_rng(SEED), 0
    for start in range(0, RESAMPLES, AT_ONCE):
        draws = random.multivariate_hypergeometric(total, drawn, size=min(AT_ONCE, RESAMPLES - start))
        as_far += int((statistic(draws) >= seen * (1 - 1e-9)).sum())
    return seen, (as_far + 1) / (RESAMPLES + 1)


def kolmogorov_smirnov(before: npt.NDArray[np.number], now: npt.NDArray[np.number]) -> tuple[float, float]:
    """Test whether two samples, (images,) each, are of one distribution: the largest distance, and its p value.

    The p value is that of large samples, and too high where values are equal: it says less than it could.
    """
    values = np.sort(np.concatenate([before, now]))
    shares = (np.searchsorted(np.sort(sample), values, side="right") / len(sample) for sample in (before, now))
    distance = float(np.abs(np.subtract(*shares)).max())
    return distance, float(kolmogorov(distance * np.sqrt(len(before) * len(now) / len(values))))
