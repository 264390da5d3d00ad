"""The line of test accuracy over the releases."""

import base64
import itertools
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from thaw.tasks.report.trend import trend_uri

NAMES = {"": "http://www.w3.org/2000/svg"}


def picture_of(accuracies: list[float], champion: int = 0) -> ElementTree.Element:
    begin = datetime(2026, 11, 1, tzinfo=UTC)
    releases: list[Any] = [
        SimpleNamespace(accuracy=accuracy, is_champion=place == champion, published=begin + timedelta(days=place))
        for place, accuracy in enumerate(accuracies)
    ]
    media_type, _, content = trend_uri(releases).partition(",")
    assert media_type == "data:image/svg+xml;base64"
    return ElementTree.fromstring(base64.b64decode(content))


@given(st.lists(st.floats(0, 1), min_size=2, max_size=30))
def test_every_release_is_a_point_inside_and_a_better_one_is_higher(accuracies: list[float]) -> None:
    marks = picture_of(accuracies).findall("circle", NAMES)
    heights = [float(mark.attrib["cy"]) for mark in marks]
    assert len(marks) == len(accuracies)
    assert all(14 <= height <= 152 for height in heights)
    pairs = sorted(zip(accuracies, heights, strict=True))
    assert all(high >= low for (_, high), (_, low) in itertools.pairwise(pairs)), "a better one is not lower"
    across = [float(mark.attrib["cx"]) for mark in marks]
    assert across == sorted(set(across))


def test_the_champion_is_filled_and_the_axis_says_what_the_points_are() -> None:
    picture = picture_of([0.93, 0.95, 0.94], champion=1)
    fills = [mark.attrib["fill"] for mark in picture.findall("circle", NAMES)]
    assert [fill != "white" for fill in fills] == [False, True, False]
    words = [text.text for text in picture.findall("text", NAMES)]
    assert words == ["92.8 %", "94.0 %", "95.2 %", "2026-11-01", "2026-11-03"]
