"""How often a drift is seen where there is none, and where there is one: simulations, for docs/recipes.md."""

import numpy as np
import pyarrow as pa
import pytest

from tests.preflight.made import image
from thaw.tasks.feature_drift.discrepancy import maximum_mean_discrepancy
from thaw.tasks.preflight.drift import drift_of, level_of_each

SAMPLES = 2_000
FEATURES = 32
# Of a share of 0.01, three standard errors above it: what a test that keeps to it passes all but one time of 700.
MOST = 0.01 + 3 * (0.01 * 0.99 / SAMPLES) ** 0.5


class Photos:
    """A source of photos: classes of unequal shares, sizes of some cameras, brightness about a middle."""

    def __init__(self, classes: int, sizes: int) -> None:
        self.random = np.random.default_rng(classes)
        shares = 1 / np.arange(1, classes + 1)
        self.shares = shares / shares.sum()
        self.widths = np.arange(sizes) * 100 + 300
        self.of_light, *of_classes = np.random.default_rng(1).normal(size=(classes + 1, FEATURES))
        self.of_classes = np.array(of_classes)

    def draw(self, count: int, darker: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        labels = self.random.choice(len(self.shares), count, p=self.shares)
        widths = self.random.choice(self.widths, count)
        return labels, widths, np.clip(self.random.normal(120 - darker, 40, count), 0, 255).astype(np.float32)

    def features(self, labels: np.ndarray, brightness: np.ndarray, cast: float = 0.0) -> np.ndarray:
        """What a network might see in photos: their class, their light, and noise, cut off at zero as by a ReLU."""
        seen = self.of_classes[labels] + np.outer(brightness / 80, self.of_light)
        noise = self.random.normal(size=seen.shape)
        features: np.ndarray = np.maximum(seen + noise + cast * np.sin(np.arange(FEATURES)), 0)
        return features

    def share_with_a_drift(
        self, samples: int, before: int, added: int, darker: float = 0.0, *, features: bool = False, cast: float = 0.0
    ) -> float:
        names = [f"{label:03}" for label in range(len(self.shares))]
        level = level_of_each(0.99, features=features)
        seen = 0
        for _ in range(samples):
            labels, widths, brightness = self.draw(before)
            columns = {"label": labels, "width": widths, "height": np.full(before, 300), "brightness": brightness}
            drawn = self.draw(added, darker)
            new = [
                image(0, names[label], size=(int(width), 300), brightness=float(value))
                for label, width, value in zip(*drawn, strict=True)
            ]
            p_values = [each.p_value for each in drift_of(pa.table(columns), names, new, level)]
            if features:
                sides = self.features(labels, brightness), self.features(drawn[0], drawn[2], cast)
                p_values.append(maximum_mean_discrepancy(*sides)[1])
            seen += min(p_values) <= level
        return seen / samples


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("classes", "sizes", "before", "added", "features"),
    [
        (4, 1, 1000, 20, False),
        (4, 3, 1000, 60, False),
        (30, 50, 2000, 200, False),
        (4, 1, 200, 20, True),
        (4, 3, 200, 60, True),
    ],
)
def test_a_drift_is_hardly_ever_seen_where_there_is_none(classes, sizes, before, added, features):
    share = Photos(classes, sizes).share_with_a_drift(SAMPLES, before, added, features=features)
    assert share <= MOST


@pytest.mark.slow
def test_darker_images_are_seen():
    share = Photos(4, 3).share_with_a_drift(200, 1000, 60, darker=30)
    assert share >= 0.9


@pytest.mark.slow
def test_images_that_are_of_the_same_sizes_light_and_classes_are_seen_by_their_features():
    photos = Photos(4, 3)
    assert photos.share_with_a_drift(200, 200, 60, features=True, cast=0.6) >= 0.9
    assert photos.share_with_a_drift(200, 200, 60, cast=0.6) <= 0.05  # which the other tests do not see
