"""How a new model does on parts of the test images, and floors for them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.verdict.tables import candidate, other
from thaw.pipeline_config.publish_schema import Floors
from thaw.tasks.evaluation.intervals import wilson_interval
from thaw.tasks.ingest.dataset import DatasetImage
from thaw.tasks.verdict.guards import too_large
from thaw.tasks.verdict.slices import below_slice_floors, listed_slices, slices_by, values_of

NOWHERE = Path("unused")


def image(width: int = 10, height: int = 10, origin: str = "cats/1.jpg", brightness: float = 0.0) -> DatasetImage:
    return DatasetImage("0" * 64, 0, "cat", "test", width, height, "JPEG", 1, origin, brightness)


def test_images_are_parted_by_their_pixels_their_folder_and_their_brightness():
    sizes = [(100, 199), (100, 200), (500, 500), (999, 1000), (1000, 1000), (2000, 2000)]
    values = values_of("size", [image(*size) for size in sizes], NOWHERE)
    assert values == ["tiny", "small", "medium", "medium", "large", "huge"]
    origins = ["cats/1.jpg", "train/day two/x.png", "0001"]
    assert values_of("folder", [image(origin=origin) for origin in origins], NOWHERE) == ["cats", "train/day two", "."]
    shades = [image(brightness=value) for value in (0, 79.9, 80, 255)]
    assert values_of("brightness", shades, NOWHERE) == ["dark", "dark", "medium", "bright"]


rows = st.lists(
    st.tuples(st.sampled_from("01"), st.sampled_from("01"), st.sampled_from(".x"), st.sampled_from(["a", "b", "c"])),
    min_size=1,
    max_size=40,
)


@given(rows)
def test_every_image_is_in_one_part_and_the_parts_add_up_to_the_whole(rows):
    new, old, marks, values = (list(column) for column in zip(*rows, strict=True))
    found = slices_by("folder", values, candidate("".join(new)), other("".join(old), "".join(marks)), 0.95)
    assert sum(each.images for each in found) == len(rows)
    assert [each.images for each in found] == sorted((each.images for each in found), reverse=True)
    for each in found:
        mine = [row for row in rows if row[3] == each.value]
        correct = sum(row[0] == "1" for row in mine)
        assert (each.images, each.accuracy) == (len(mine), correct / len(mine))
        assert list(each.accuracy_ci) == wilson_interval(correct, len(mine), 0.95)
        assert each.compared is not None
        assert each.compared.left_out == sum(row[2] == "x" for row in mine)
        assert each.compared.gained == sum(row[:3] == ("1", "0", ".") for row in mine)


def test_without_a_champion_there_is_nothing_to_compare_with():
    (only,) = slices_by("size", ["tiny"] * 4, candidate("1110"), None, 0.95)
    assert (only.accuracy, only.compared) == (0.75, None)


def test_a_floor_forbids_what_is_below_it_and_what_has_no_images():
    slices = slices_by("brightness", ["dark"] * 4 + ["bright"] * 4, candidate("11101111"), None, 0.95)
    assert below_slice_floors(Floors(slices={"brightness": {"dark": 0.75, "bright": 1.0}}), slices) == []
    assert below_slice_floors(Floors(slices={"brightness": {"dark": 0.8}}), slices) == [
        "The accuracy on the 4 images of brightness 'dark' is 0.7500, expected 0.8 or more (publish.floors)."
    ]
    for floor in ({"brightness": {"drak": 0.0}}, {"size": {"dark": 0.0}}):
        (words,) = below_slice_floors(Floors.model_validate({"slices": floor}), slices)
        assert words.startswith("No test image is of ")
        assert words.endswith("so its accuracy is not known (publish.floors).")


def test_of_a_column_with_many_parts_the_large_ones_are_listed():
    values = ["a"] * 3 + [f"folder {number}" for number in range(60)]
    slices = slices_by("folder", values, candidate("1" * 63), None, 0.95)
    assert len(slices) == 61
    assert [each.value for each in listed_slices([*slices, *slices_by("size", ["tiny"], candidate("1"), None, 0.95)])][
        ::50
    ] == ["a", "tiny"]


@pytest.mark.parametrize(
    ("limit", "size", "fits"), [(1.0, 1_000_000, True), (1.0, 1_000_001, False), (9.5, 10**7, False)]
)
def test_weights_that_are_too_large_are_named_with_both_numbers(limit, size, fits):
    assert (too_large(limit, size) == []) == fits
    if not fits:
        assert f"megabytes, expected {limit:g} or less (publish.floors)." in too_large(limit, size)[0]
