"""How often a drift is seen where there is none, and where there is one: simulations, for docs/recipes.md."""

import numpy as np
import pyarrow as pa
import pytest

from tests.preflight.made import image
from thaw.tasks.preflight.drift import drift_of

SAMPLES = 2_000
# Of a share of 0.01, three standard errors above it: what a test that keeps to it passes all but one time of 700.
MOST = 0.01 + 3 * (0.01 * 0.99 / SAMPLES) ** 0.5


class Photos:
    """A source of photos: classes of unequal shares, sizes of some cameras, brightness about a middle."""

    def __init__(self, classes: int, sizes: int) -> None:
        self.random = np.random.default_rng(classes)
        shares = 1 / np.arange(1, classes + 1)
        self.shares = shares / shares.sum()
        self.widths = np.arange(sizes) * 100 + 300

    def draw(self, count: int, darker: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        labels = self.random.choice(len(self.shares), count, p=self.shares)
        widths = self.random.choice(self.widths, count)
        return labels, widths, np.clip(self.random.normal(120 - darker, 40, count), 0, 255).astype(np.float32)

    def share_with_a_drift(self, samples: int, before: int, added: int, darker: float = 0.0) -> float:
        names = [f"{label:03}" for label in range(len(self.shares))]
        seen = 0
        for _ in range(samples):
            labels, widths, brightness = self.draw(before)
            columns = {"label": labels, "width": widths, "height": np.full(before, 300), "brightness": brightness}
            new = [
                image(0, names[label], size=(int(width), 300), brightness=float(value))
                for label, width, value in zip(*self.draw(added, darker), strict=True)
            ]
            seen += any(each.is_shown for each in drift_of(pa.table(columns), names, new, 0.99))
        return seen / samples


@pytest.mark.slow
@pytest.mark.parametrize(
    ("classes", "sizes", "before", "added"), [(4, 1, 1000, 20), (4, 3, 1000, 60), (30, 50, 2000, 200)]
)
def test_a_drift_is_hardly_ever_seen_where_there_is_none(classes, sizes, before, added):
    share = Photos(classes, sizes).share_with_a_drift(SAMPLES, before, added)
    assert share <= MOST


@pytest.mark.slow
def test_darker_images_are_seen():
    share = Photos(4, 3).share_with_a_drift(200, 1000, 60, darker=30)
    assert share >= 0.9
