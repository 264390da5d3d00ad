"""A dataset that changes: rows of images that were there are taken over; the bytes are those of a run from nothing."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.ingest.pictures import Recorder
from tests.support import write_pictures
from tests.training import test_resume
from tests.training.features import Place, place_for, stage
from tests.training.test_features_faults import computing, stopped
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.training.features import work as features_work

LAST_BLOCK = {"last_blocks": 1}


def add(data: Path) -> None:
    for number in range(4):
        _write(data / "blue" / f"new-{number}.png", 100 + number)


def remove(data: Path) -> None:
    for path in sorted((data / "red").iterdir())[:3]:
        path.unlink()


def relabel(data: Path) -> None:
    path = min((data / "red").iterdir())
    path.rename(data / "blue" / f"from-red-{path.name}")


def replace(data: Path) -> None:
    for number, path in enumerate(sorted((data / "red").iterdir())[:2]):
        _write(path, 200 + number)


def add_a_class_before_the_others(data: Path) -> None:
    (data / "amber").mkdir()
    for number in range(6):
        _write(data / "amber" / f"{number}.png", 300 + number)


CHANGES = [add, remove, relabel, replace, add_a_class_before_the_others]


def all_at_once(data: Path) -> None:
    for change in CHANGES:
        change(data)


def _write(path: Path, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_pictures(tmp_path / "data", each=20)


def in_home(data: Path, home: Path, **changes: Any) -> Place:
    settings = {"stage_two": stage(train=LAST_BLOCK, feature_views=2)} | changes
    return place_for(data, home, **settings)


def compute(place: Place) -> tuple[list[ArtifactRef], Recorder]:
    reporter = Recorder()
    return place.compute(place.features_one(), reporter), reporter


def taken_over(reporter: Recorder) -> list[str]:
    return [line.partition(": ")[2] for line in reporter.told("log") if "taken over" in line]


def test_killed_while_it_adds_to_features_a_run_ends_in_the_bytes_of_one_from_nothing(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute(in_home(data, tmp_path / "home"))
    all_at_once(data)
    place = in_home(data, tmp_path / "home")
    before = stopped(place, monkeypatch, 3)
    with monkeypatch.context() as patch:
        after = computing(patch)
        refs, reporter = compute(place)
    assert refs == compute(in_home(data, tmp_path / "other"))[0]
    assert [line.split(" are ")[0] for line in taken_over(reporter)] == [
        "20 of 26 train images",
        "9 of 12 validation images",
    ]
    assert before + after == [6] * 4  # six new images of three views, two at a time, and three for validation


@pytest.mark.parametrize("damage", [test_resume.flip_a_bit, Path.unlink])
def test_features_that_are_damaged_are_computed_again(
    data: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    place = in_home(data, tmp_path / "home", stage_two=stage(feature_views=0))
    (ref,) = compute(place)[0]
    damage(place.store.folder(ref) / "view-1.npy")
    remove(data)
    (ref,), reporter = compute(in_home(data, tmp_path / "home", stage_two=stage(feature_views=0)))
    assert taken_over(reporter) == []
    (warning,) = reporter.told("warning")
    assert "view-1.npy" in warning
    assert "to be made again" in warning
    shutil.rmtree(tmp_path / "home")
    assert [ref] == compute(in_home(data, tmp_path / "home", stage_two=stage(feature_views=0)))[0]


@pytest.mark.slow
@pytest.mark.parametrize("change", [*CHANGES, all_at_once])
def test_after_a_change_of_the_images_features_and_stages_are_those_of_a_run_from_nothing(
    data: Path, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    def run(home: Path) -> list[ArtifactRef]:
        place = in_home(data, home)
        features = place.features_one()
        made = place.compute(features)
        stage_one = place.train(place.stage_one(features))
        return [place.records, *made, stage_one, place.train(place.stage_two(stage_one, features.also))]

    run(tmp_path / "home")
    change(data)
    assert run(tmp_path / "home") == run(tmp_path / "other")


@pytest.mark.slow
def test_rows_in_bfloat16_are_taken_over_where_a_number_is_too_large_again(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features_work, "_LARGEST_FLOAT16", 1e-3)
    settings = {"stage_one": stage(train=LAST_BLOCK), "stage_two": stage(feature_views=0)}
    compute(in_home(data, tmp_path / "home", **settings))
    add(data)
    refs, reporter = compute(in_home(data, tmp_path / "home", **settings))
    assert len(taken_over(reporter)) == 2
    assert refs == compute(in_home(data, tmp_path / "other", **settings))[0]
    monkeypatch.setattr(features_work, "_LARGEST_FLOAT16", 65504.0)
    remove(data)
    refs, reporter = compute(in_home(data, tmp_path / "home", **settings))
    assert taken_over(reporter) == []
    assert refs == compute(in_home(data, tmp_path / "another", **settings))[0]
