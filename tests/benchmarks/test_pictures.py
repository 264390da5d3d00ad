"""The images of the benchmarks: disjoint splits, and more images that are as large as the fewer ones."""

import hashlib
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.pictures import multiply, write_generated, write_three_splits
from tests.benchmarks.made import write_splits
from tests.support import small_recipe
from thaw.pipeline_config.dataset_schema import SPLITS


def digests(folder: Path) -> list[str]:
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.rglob("*.jpg"))]


def mean_bytes(folder: Path) -> float:
    sizes = [path.stat().st_size for path in folder.rglob("*.jpg")]
    return sum(sizes) / len(sizes)


@pytest.mark.slow
def test_the_splits_are_disjoint_and_hold_every_image_once(tmp_path: Path) -> None:
    data = write_generated(tmp_path / "data", 30, (32, 24))
    (data / "red" / "copy.jpg").write_bytes((data / "red" / "00000.jpg").read_bytes())
    counts = write_three_splits(small_recipe(data), tmp_path / "home", tmp_path / "out")
    of_split = {split: digests(tmp_path / "out" / split) for split in SPLITS}
    assert {split: len(found) for split, found in of_split.items()} == counts
    assert min(counts.values()) > 0
    everything = [digest for found in of_split.values() for digest in found]
    assert len(everything) == len(set(everything)) == 60
    assert set(everything) == set(digests(data))


@pytest.mark.slow
def test_given_splits_stay_as_they_are(tmp_path: Path) -> None:
    data = write_splits(tmp_path / "data")
    write_three_splits(small_recipe(data), tmp_path / "home", tmp_path / "out")
    for split in SPLITS:
        assert set(digests(data / split)) == set(digests(tmp_path / "out" / split))


@pytest.mark.parametrize("times", [1, 3])
def test_more_images_are_all_different_and_as_large(tmp_path: Path, times: int) -> None:
    data = tmp_path / "data"
    write_generated(data / "train", 6, (64, 48))
    assert multiply(data, times, tmp_path / "out") == 12 * times
    made = digests(tmp_path / "out")
    assert len(set(made)) == 12 * times
    assert not set(made) & set(digests(data))
    multiply(data, 1, tmp_path / "one")
    assert mean_bytes(tmp_path / "out") == pytest.approx(mean_bytes(tmp_path / "one"), rel=0.1)
    assert {path.parent.name for path in (tmp_path / "out").rglob("*.jpg")} == {"blue", "red"}


def test_no_more_of_a_class_are_taken_than_asked_for(tmp_path: Path) -> None:
    data = write_splits(tmp_path / "data")
    assert multiply(data, 2, tmp_path / "out", at_most=3) == 3 * 2 * 3 * 2  # of each class of each split, twice
    assert {len(list(place.iterdir())) for place in (tmp_path / "out").glob("*/*")} == {6}


def test_the_same_images_are_made_every_time(tmp_path: Path) -> None:
    data = tmp_path / "data"
    write_generated(data / "train", 2, (64, 48))
    for name in ("first", "again"):
        multiply(data, 2, tmp_path / name)
    assert digests(tmp_path / "first") == digests(tmp_path / "again")


def test_images_of_one_pixel_survive(tmp_path: Path) -> None:
    place = tmp_path / "data" / "train" / "red"
    place.mkdir(parents=True)
    Image.new("RGB", (1, 1)).save(place / "one.png")
    assert multiply(tmp_path / "data", 4, tmp_path / "out") == 4
