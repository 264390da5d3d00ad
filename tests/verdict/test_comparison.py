"""Two models on the same images."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.verdict.tables import candidate, ids, other
from thaw.pipeline_config.errors import ArtifactError
from thaw.tasks.verdict.comparison import compare, flips

answers = st.lists(st.tuples(st.sampled_from("01"), st.sampled_from("01"), st.sampled_from(".x")), min_size=1)


@given(answers)
def test_every_image_that_the_other_has_not_learned_from_is_counted_once(rows):
    new, old, seen = ("".join(column) for column in zip(*rows, strict=True))
    found = compare(candidate(new), other(old, seen))
    counted = [(a, b) for a, b, mark in rows if mark == "."]
    assert (found.images, found.left_out) == (len(counted), len(rows) - len(counted))
    assert (found.gained, found.lost) == (counted.count(("1", "0")), counted.count(("0", "1")))
    if counted:
        assert found.difference == pytest.approx((found.gained - found.lost) / found.images)
        assert found.accuracy == pytest.approx(sum(a == "1" for a, _ in counted) / found.images)


def test_without_an_image_to_compare_on_there_are_still_numbers():
    found = compare(candidate("10"), other("01", "xx"))
    assert (found.images, found.left_out, found.p_better, found.difference) == (0, 2, 0.5, 0.0)
    assert list(found.difference_ci) == pytest.approx([-1, 1], abs=0.03)


@given(answers)
def test_the_flips_are_the_images_that_tell_the_two_apart(rows):
    new, old, seen = ("".join(column) for column in zip(*rows, strict=True))
    table = flips(candidate(new), other(old, seen))
    expected = [name for name, (a, b, mark) in zip(ids(len(rows)), rows, strict=True) if a != b and mark == "."]
    assert table["id"].to_pylist() == expected
    right = [truth == said for truth, said in zip(table["class_name"], table["predicted_class"], strict=True)]
    champion = [truth == said for truth, said in zip(table["class_name"], table["champion_class"], strict=True)]
    assert all(one != another for one, another in zip(right, champion, strict=True))


def test_tables_of_other_images_are_refused():
    with pytest.raises(ArtifactError, match="2 images and the baseline 3, expected the same ones in the same order"):
        compare(candidate("11"), other("111"))
