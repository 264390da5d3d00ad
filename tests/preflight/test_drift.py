"""Whether new images are like the old ones: the tests by themselves, and what they find."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, ks_2samp

from tests.preflight.made import images
from thaw.tasks.ingest.dataset import DatasetImage
from thaw.tasks.preflight.drift import chi_squared, drift_of, kolmogorov_smirnov, level_of_each

counts = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=2, max_size=6).filter(
    lambda rows: all(sum(column) for column in zip(*rows, strict=True)) and sum(sum(row) > 0 for row in rows) > 1
)


@given(counts)
def test_the_statistic_of_the_class_mix_is_pearsons(rows):
    before, now = np.array(rows).T
    present = before + now > 0
    expected = chi2_contingency([before[present], now[present]], correction=False).statistic
    statistic, p_value = chi_squared(before, now)
    assert statistic == pytest.approx(expected, abs=1e-9)
    assert 0 < p_value <= 1


def test_its_p_value_is_that_of_large_samples_where_there_are_many_images():
    before, now = np.array([500, 300, 200]), np.array([100, 90, 60])
    expected = chi2_contingency([before, now], correction=False).pvalue
    assert chi_squared(before, now)[1] == pytest.approx(expected, abs=0.02)


samples = st.lists(st.integers(0, 9), min_size=1, max_size=40)


@given(samples, samples)
def test_the_distance_is_kolmogorovs(before, now):
    expected = ks_2samp(before, now, method="asymp").statistic
    assert kolmogorov_smirnov(np.array(before), np.array(now))[0] == pytest.approx(expected, abs=1e-12)


def test_its_p_value_is_that_of_large_samples():
    random = np.random.default_rng(0)
    before, now = random.normal(0, 1, 3000), random.normal(0.1, 1, 400)
    assert kolmogorov_smirnov(before, now)[1] == pytest.approx(ks_2samp(before, now, method="exact").pvalue, rel=0.1)


LEVEL = level_of_each(0.99, features=False)


def learned(count: int, seed: int = 0) -> pa.Table:
    random = np.random.default_rng(seed)
    return pa.table(
        {
            "label": np.arange(count) % 2,
            "width": random.integers(300, 600, count),
            "height": np.full(count, 300),
            "brightness": random.normal(120, 30, count),
        }
    )


def shown(added) -> list[str]:
    return [each.of for each in drift_of(learned(1000), ["cat", "dog"], added, LEVEL) if each.is_shown]


def of_old(each: int, **values: Any) -> list[DatasetImage]:
    """New images whose size and brightness are at the middle of the old ones, unless `values` say otherwise."""
    middle: dict[str, Any] = {"size": (450, 300), "brightness": 120.0}
    return images(each, **middle | values)


@pytest.mark.parametrize(
    ("added", "expected"),
    [
        (of_old(20, size=(800, 800)), {"size"}),
        (of_old(20, brightness=30.0), {"brightness"}),
        (of_old(20, classes=("cat",)), {"class mix"}),
        (of_old(20, classes=("emu",)), {"class mix"}),  # a class that there was not
    ],
)
def test_a_difference_in_one_respect_is_shown_in_it(added, expected):
    assert expected <= set(shown(added))


def test_images_like_the_old_ones_show_nothing_and_the_same_images_the_same():
    random = np.random.default_rng(1)
    alike = [
        each
        for number in range(20)
        for each in images(
            1, first=2 * number, size=(int(random.integers(300, 600)), 300), brightness=float(random.normal(120, 30))
        )
    ]
    assert shown(alike) == []
    found = [drift_of(learned(1000), ["cat", "dog"], order, LEVEL) for order in (alike, alike[::-1])]
    assert found[0] == found[1]
    assert [each.level for each in found[0]] == [pytest.approx(0.01 / 3)] * 3
