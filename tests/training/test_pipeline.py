"""Batches: every image once an epoch, in an order that depends on the seed, the stage and the epoch alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from tests.support import build_records, small_recipe, write_pictures
from thaw.pipeline_config.preprocessing import fit_of
from thaw.pipeline_config.stage_schema import StageConfig
from thaw.tasks.home import Home
from thaw.tasks.records.ids import ids_of, numbers_of
from thaw.tasks.records.read import SplitReader
from thaw.tasks.training.pipeline import (
    epoch_order,
    evaluation_batches,
    stage_salt,
    steps_per_epoch,
    training_batches,
)


@pytest.fixture(scope="module")
def train_split(tmp_path_factory: pytest.TempPathFactory) -> SplitReader:
    folder: Path = tmp_path_factory.mktemp("pipeline")
    recipe = small_recipe(write_pictures(folder / "data", each=10), augment=[])
    records = build_records(folder / "home", recipe)
    return SplitReader(Home.open(folder / "home").store.verified(records), "train")


def stage(epochs: int, batch_size: int, augment: list[dict[str, Any]] | None = None) -> StageConfig:
    optimizer = {"name": "adam", "learning_rate": 0.01}
    document = {"resolution": 16, "train": "all", "epochs": epochs, "batch_size": batch_size, "optimizer": optimizer}
    return StageConfig.model_validate(document | {"augment": augment or []})


def epochs_of(reader: SplitReader, *, seed: int = 0, salt: int = 1, epochs: int = 2, batch_size: int = 4) -> np.ndarray:
    """The images' means, epoch by epoch: each image has its own."""
    batches = training_batches(reader, stage(epochs, batch_size), seed=seed, salt=salt)
    means = np.concatenate([tf.reduce_mean(images, axis=(1, 2, 3)).numpy() for images, _ in batches])
    return means.reshape(epochs, reader.examples)


def test_an_epoch_shows_every_image_once(train_split: SplitReader) -> None:
    first, second = epochs_of(train_split)
    assert len(set(first)) == train_split.examples
    assert sorted(first) == sorted(second)


def test_epochs_differ_in_order(train_split: SplitReader) -> None:
    first, second = epochs_of(train_split)
    assert not np.array_equal(first, second)


def test_order_is_the_same_for_the_same_seed_and_any_batch_size(train_split: SplitReader) -> None:
    np.testing.assert_array_equal(epochs_of(train_split), epochs_of(train_split, batch_size=7))


@pytest.mark.parametrize("other", [{"seed": 1}, {"salt": 2}])
def test_order_differs_with_the_seed_and_with_the_stage(train_split: SplitReader, other: dict[str, int]) -> None:
    assert not np.array_equal(epochs_of(train_split), epochs_of(train_split, **other))


def test_order_of_an_epoch_does_not_depend_on_the_number_of_epochs(train_split: SplitReader) -> None:
    np.testing.assert_array_equal(epochs_of(train_split, epochs=1)[0], epochs_of(train_split, epochs=3)[0])


def test_the_last_batch_of_an_epoch_holds_what_is_left(train_split: SplitReader) -> None:
    batches = training_batches(train_split, stage(2, 4), seed=0, salt=0)
    sizes = [int(labels.shape[0]) for _, labels in batches]
    left = train_split.examples % 4 or 4
    assert left != 4, "the test needs a rest"
    assert sizes == ([4] * (train_split.examples // 4) + [left]) * 2


def test_a_last_image_joins_the_batch_before_it(train_split: SplitReader) -> None:
    count = train_split.examples
    batches = training_batches(train_split, stage(2, count - 1), seed=0, salt=0)
    assert [int(labels.shape[0]) for _, labels in batches] == [count, count]


@pytest.mark.parametrize(
    ("images", "batch_size", "steps"),
    [(64, 32, 2), (65, 32, 2), (68, 32, 2), (69, 32, 3), (1, 32, 1), (33, 1, 33), (3, 2, 1), (1999, 32, 63)],
)
def test_a_rest_of_an_eighth_of_a_batch_is_no_step_of_its_own(images: int, batch_size: int, steps: int) -> None:
    assert steps_per_epoch(images, batch_size) == steps


@given(st.integers(1, 10_000), st.integers(1, 600))
def test_no_batch_is_small_beside_the_others_or_much_larger_than_asked(images: int, batch_size: int) -> None:
    steps = steps_per_epoch(images, batch_size)
    last = images - (steps - 1) * batch_size
    assert 1 <= last <= max(batch_size * 9 / 8, batch_size + 1)
    if steps > 1:
        assert last > max(batch_size / 8 - 1, 1) or batch_size == 1


def test_evaluation_goes_through_the_split_in_order(train_split: SplitReader) -> None:
    batches = list(evaluation_batches(train_split, fit_of(16, []), batch_size=5))
    indices = np.concatenate([indices.numpy() for _, _, indices in batches])
    np.testing.assert_array_equal(indices, np.arange(train_split.examples))
    assert all(images.dtype == tf.float32 and images.shape[1:] == (16, 16, 3) for images, _, _ in batches)
    assert min(float(tf.reduce_min(images)) for images, _, _ in batches) >= 0
    assert 1 < max(float(tf.reduce_max(images)) for images, _, _ in batches) <= 255


def test_salts_of_the_stages_differ_and_fit_a_seed() -> None:
    assert stage_salt("stage_one") != stage_salt("stage_two")
    assert 0 <= stage_salt("stage_one") < 2**31


@pytest.mark.parametrize(("first_epoch", "first_step"), [(1, 0), (1, 1), (2, 0), (2, 3), (3, 2), (2, 4), (3, 4)])
def test_batches_from_the_middle_are_those_of_a_whole_pass(
    train_split: SplitReader, first_epoch: int, first_step: int
) -> None:
    settings = stage(3, 4, [{"name": "random_flip"}, {"name": "random_contrast", "factor": 0.4}])
    steps = -(-train_split.examples // 4)
    assert steps == 4, "the test speaks of four steps"
    whole = list(training_batches(train_split, settings, seed=5, salt=1))
    rest = list(training_batches(train_split, settings, seed=5, salt=1, first_epoch=first_epoch, first_step=first_step))
    expected = whole[(first_epoch - 1) * steps + first_step :]
    assert len(rest) == len(expected)
    for (images, labels), (expected_images, expected_labels) in zip(rest, expected, strict=True):
        np.testing.assert_array_equal(labels, expected_labels)
        np.testing.assert_array_equal(images, expected_images)


NUMBERS = st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=60, unique=True)


@given(NUMBERS, st.integers(-(2**63), 2**63 - 1), st.data())
def test_in_an_epoch_images_stand_to_each_other_as_they_would_without_any_others(
    numbers: list[int], key: int, data: st.DataObject
) -> None:
    fewer = data.draw(st.lists(st.sampled_from(numbers), unique=True, min_size=1))
    order = [numbers[index] for index in epoch_order(np.array(numbers), np.int64(key))]
    assert sorted(order) == sorted(numbers)
    without = [fewer[index] for index in epoch_order(np.array(fewer), np.int64(key))]
    assert without == [number for number in order if number in fewer]


def test_over_many_epochs_every_image_stands_everywhere_as_often() -> None:
    numbers = numbers_of(ids_of(f"{7919 * index:064x}"[::-1] for index in range(8)))
    orders = [epoch_order(numbers, np.int64(key)) for key in range(8000)]  # keys that differ in a few bits alone
    counts = np.stack([np.bincount(places, minlength=8) for places in np.transpose(orders)])
    assert np.abs(counts - 1000).max() < 150  # of 1,000: five standard deviations


def test_an_image_is_augmented_alike_whatever_images_there_are_besides(tmp_path: Path) -> None:
    data = write_pictures(tmp_path / "data", each=10)
    operations: list[dict[str, Any]] = [{"name": "random_flip"}, {"name": "random_contrast", "factor": 0.4}]
    seen = []
    for name, gone in (("all", []), ("fewer", ["blue/000.png", "red/003.png", "red/004.png"])):
        for each in gone:
            (data / each).unlink()
        home = Home.open(tmp_path / name)
        records = home.store.verified(build_records(home.path, small_recipe(data, augment=[])))
        with SplitReader(records, "train") as reader:
            batches = training_batches(reader, stage(2, 64, operations), seed=5, salt=1)
            seen.append([{image.tobytes() for image in images.numpy()} for images, _ in batches])
    for shown, of_all in zip(*reversed(seen), strict=True):
        assert shown < of_all
