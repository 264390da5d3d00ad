"""What the frozen layers put out: what is kept, what a stage learns from it, and that it is the same as without."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.support import write_pictures
from tests.training.features import Place, place_for, stage
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.artifacts.store import ArtifactStore
from thaw.tasks.records.read import SplitReader
from thaw.tasks.training.features.batches import cached_training_batches, cached_validation_batches
from thaw.tasks.training.features.files import FeatureReader, read_document
from thaw.tasks.training.features.prefix import Compute, find_frozen, join
from thaw.tasks.training.features.step import Tap
from thaw.tasks.training.pipeline import evaluation_batches, stage_salt, training_batches
from thaw.tasks.training.stage_artifact import load_classifier
from thaw.tasks.training.start import build_start, prepare_process

LAST_BLOCK = {"last_blocks": 1}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("features") / "data", each=20)


def features_of(place: Place, ref: ArtifactRef, name: str) -> FeatureReader:
    return FeatureReader(place.store.verified(ref), name)


def history_of(store: ArtifactStore, ref: ArtifactRef) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = pq.read_table(store.verified(ref) / "history.parquet").to_pydict()
    return columns


def weights_of(store: ArtifactStore, ref: ArtifactRef) -> list[np.ndarray]:
    arrays: list[np.ndarray] = load_classifier(store.verified(ref)).get_weights()
    return arrays


@pytest.mark.parametrize("train", ["head", LAST_BLOCK, {"from_layer": "block2_a_conv"}])
def test_the_batches_are_what_the_frozen_layers_make_of_the_images(data: Path, tmp_path: Path, train: Any) -> None:
    place = place_for(data, tmp_path, stage_one=stage(train=train, epochs=4, feature_views=2))
    step = place.features_one()
    records = place.store.verified(place.records)
    with (
        features_of(place, place.compute(step), "stage_one") as reader,
        SplitReader(records, "train") as images,
        SplitReader(records, "validation") as validation,
    ):
        prepare_process(step)  # the weights are random, by its seed
        model = build_start(step, place.store, classes=2, resolution=16)
        frozen = find_frozen(model, Tap(stage="stage_one", train=train, views=2, forced=True), "SmallCNN")
        assert frozen is not None
        compute = Compute(join(model, [frozen]))
        salt, settings = stage_salt("stage_one"), place.recipe.stage_one
        cached = list(cached_training_batches(reader, settings, seed=3, salt=salt))
        plain = list(training_batches(images, settings, seed=3, salt=salt))
        assert len(cached) == len(plain)
        half = len(cached) // 2  # two epochs, which show both views
        for position, ((rows, labels), (pictures, expected)) in enumerate(zip(cached, plain, strict=True)):
            np.testing.assert_array_equal(labels, expected)  # also in the epochs that show a view again
            if position < half:
                outputs = compute(pictures)["stage_one"]
                np.testing.assert_allclose(rows, outputs, rtol=1e-3, atol=1e-3)
        crop_free = evaluation_batches(validation, settings.fit, batch_size=8)
        measured = cached_validation_batches(reader, batch_size=8)
        for (rows, labels, _), (pictures, expected, _) in zip(measured, crop_free, strict=True):
            np.testing.assert_array_equal(labels, expected)
            np.testing.assert_allclose(rows, compute(pictures)["stage_one"], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("first_epoch", "first_step"), [(1, 1), (2, 0), (3, 2)])
def test_batches_from_the_middle_are_those_of_a_whole_pass(
    data: Path, tmp_path: Path, first_epoch: int, first_step: int
) -> None:
    place = place_for(data, tmp_path, stage_one=stage(feature_views=2))
    with features_of(place, place.compute(place.features_one()), "stage_one") as reader:
        settings = place.recipe.stage_one
        whole = list(cached_training_batches(reader, settings, seed=3, salt=1))
        rest = list(
            cached_training_batches(reader, settings, seed=3, salt=1, first_epoch=first_epoch, first_step=first_step)
        )
    left_out = (first_epoch - 1) * len(whole) // 3 + first_step
    assert len(rest) == len(whole) - left_out
    for (rows, labels), (expected_rows, expected_labels) in zip(rest, whole[left_out:], strict=True):
        np.testing.assert_array_equal(rows, expected_rows)
        np.testing.assert_array_equal(labels, expected_labels)


@pytest.mark.parametrize(
    ("settings", "tolerance"),
    [
        ({"train": "head"}, 1e-5),
        ({"train": "head", "ema": 0.9, "class_weights": "balanced", "keep": "best"}, 1e-5),
        ({"train": LAST_BLOCK, "batch_norm": "frozen"}, 2e-3),  # kept in float16
        ({"train": LAST_BLOCK, "batch_norm": "train"}, 2e-3),
    ],
)
def test_with_a_view_for_each_epoch_a_stage_learns_what_it_learns_without(
    data: Path, tmp_path: Path, settings: dict[str, Any], tolerance: float
) -> None:
    optimizer = {"name": "sgd", "learning_rate": 0.01}
    place = place_for(data, tmp_path, stage_one=stage(optimizer=optimizer, **settings))
    features = place.features_one()
    place.compute(features)
    cached, plain = place.train(place.stage_one(features)), place.train(place.stage_one(None))
    assert place.store.facts(cached)["feature_views"] == 3
    measured, expected = history_of(place.store, cached), history_of(place.store, plain)
    assert measured["epoch"] == expected["epoch"]
    for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
        first = 1 if name in ("loss", "accuracy") else 0  # before the first step there is no training loss
        np.testing.assert_allclose(measured[name][first:], expected[name][first:], atol=tolerance, err_msg=name)
    for one, other in zip(weights_of(place.store, cached), weights_of(place.store, plain), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance * 5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backbone", "learns"),
    [
        ("MobileNetV2", {"train": {"from_layer": 100}, "batch_norm": "frozen"}),
        ("EfficientNetB0", {"train": {"last_blocks": 1}, "batch_norm": "frozen"}),
        ("ResNet50V2", {"train": "last_batch_norm", "batch_norm": "statistics"}),
    ],
)
def test_every_kind_of_network_learns_from_features_what_it_learns_from_images(
    data: Path, tmp_path: Path, backbone: str, learns: dict[str, Any]
) -> None:
    optimizer = {"name": "sgd", "learning_rate": 1e-3}
    settings = stage(resolution=32, optimizer=optimizer, epochs=2, feature_views=2, **learns)
    place = place_for(data, tmp_path, model={"backbone": backbone, "dropout": 0.0}, stage_one=settings)
    features = place.features_one()
    place.compute(features)
    cached, plain = (history_of(place.store, place.train(place.stage_one(each))) for each in (features, None))
    for name in ("loss", "val_loss"):
        np.testing.assert_allclose(cached[name][1:], plain[name][1:], rtol=0.01, err_msg=name)


def test_one_pass_serves_both_stages_where_they_look_at_the_same_pictures(data: Path, tmp_path: Path) -> None:
    two = stage(train=LAST_BLOCK, epochs=4, feature_views=2)
    shared = place_for(data, tmp_path, stage_two=two)
    features = shared.features_one()
    shared.compute(features)
    one = shared.train(shared.stage_one(features))
    assert shared.features_two(one) == features
    ref = shared.train(shared.stage_two(one, features))
    assert shared.store.facts(ref)["feature_views"] == 2
    apart = place_for(data, tmp_path, stage_two=two | {"resolution": 24})
    assert apart.features_two(one).start == one
    assert [tap.stage for tap in apart.features_one().taps] == ["stage_one"]


def test_the_same_request_gives_the_same_artifacts_in_another_home(data: Path, tmp_path: Path) -> None:
    made = []
    for home in (tmp_path / "a", tmp_path / "b"):
        place = place_for(data, home, stage_one=stage(train=LAST_BLOCK))
        features = place.features_one()
        made.append((place.compute(features), place.train(place.stage_one(features))))
    assert made[0] == made[1]


def test_nothing_is_kept_where_everything_is_thawed_from_the_first_layer_on(data: Path, tmp_path: Path) -> None:
    place = place_for(data, tmp_path, stage_one=stage(train={"from_layer": 0}))
    features = place.features_one()
    ref = place.compute(features)
    decided = read_document(place.store.verified(ref)).taps["stage_one"]
    assert (decided.views, sorted(path.name for path in place.store.folder(ref).iterdir())) == (
        0,
        ["features.json", "manifest.json"],
    )
    stage_one = place.train(place.stage_one(features))
    assert place.store.facts(stage_one)["feature_views"] == 0
    plain = place.train(place.stage_one(None))
    assert stage_one == plain
