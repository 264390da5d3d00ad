"""What the frozen layers put out: what is kept, what a stage learns from it, and that it is the same as without."""

import functools
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from tests.ingest.pictures import Recorder
from tests.support import write_pictures
from tests.training.features import Place, place_for, stage
from thaw.pipeline_config.schema import ModelConfig
from thaw.pipeline_config.stage_schema import FromLayer
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.artifacts.store import ArtifactStore
from thaw.tasks.records.read import SplitReader
from thaw.tasks.training.features.batches import cached_training_batches, cached_validation_batches
from thaw.tasks.training.features.files import FeatureReader, read_document
from thaw.tasks.training.features.prefix import Compute, FrozenOutput, find_frozen_output, frozen_models
from thaw.tasks.training.model import backbone_of, build_classifier
from thaw.tasks.training.pipeline import evaluation_batches, stage_salt, training_batches
from thaw.tasks.training.stage_artifact import load_classifier
from thaw.tasks.training.stage_facts import StageFacts
from thaw.tasks.training.start import build_start, prepare_process

LAST_BLOCK = {"last_blocks": 1}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("features") / "data", each=20)


def features_of(place: Place, ref: ArtifactRef) -> FeatureReader:
    return FeatureReader(place.store.verified(ref))


def views_of(place: Place, stage: ArtifactRef) -> int:
    return place.store.facts(stage, StageFacts).feature_views


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
        features_of(place, place.compute(step)[0]) as reader,
        SplitReader(records, "train") as images,
        SplitReader(records, "validation") as validation,
    ):
        prepare_process(step, step.draws)  # the weights are random, by its seed
        model = build_start(step, place.store, classes=["blue", "red"], resolution=16)
        frozen = find_frozen_output(model, "SmallCNN", "stage_one", step.train)
        assert frozen is not None
        (frozen_model,) = frozen_models(model, [frozen])
        compute = Compute(frozen_model)
        salt, settings = stage_salt("stage_one"), place.recipe.resolved.stage_one
        cached = list(cached_training_batches(reader, images, settings, seed=3, salt=salt))
        plain = list(training_batches(images, settings, seed=3, salt=salt))
        assert len(cached) == len(plain)
        half = len(cached) // 2  # two epochs, which show both views
        for position, ((rows, labels), (pictures, expected)) in enumerate(zip(cached, plain, strict=True)):
            np.testing.assert_array_equal(labels, expected)  # also in the epochs that show a view again
            if position < half:
                outputs = compute(pictures)["stage_one"]
                np.testing.assert_allclose(rows, outputs, rtol=1e-3, atol=1e-3)
        crop_free = evaluation_batches(validation, settings.fit, batch_size=8)
        measured = cached_validation_batches(reader, validation, batch_size=8)
        for (rows, labels, _), (pictures, expected, _) in zip(measured, crop_free, strict=True):
            np.testing.assert_array_equal(labels, expected)
            np.testing.assert_allclose(rows, compute(pictures)["stage_one"], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("first_epoch", "first_step"), [(1, 1), (2, 0), (3, 2)])
def test_batches_from_the_middle_are_those_of_a_whole_pass(
    data: Path, tmp_path: Path, first_epoch: int, first_step: int
) -> None:
    place = place_for(data, tmp_path, stage_one=stage(feature_views=2))
    with (
        features_of(place, place.compute(place.features_one())[0]) as reader,
        SplitReader(place.store.verified(place.records), "train") as images,
    ):
        make = functools.partial(cached_training_batches, reader, images, place.recipe.resolved.stage_one)
        whole = list(make(seed=3, salt=1))
        rest = list(make(seed=3, salt=1, first_epoch=first_epoch, first_step=first_step))
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
    # With some seeds a channel hardly varies in a batch of eight, and normalizing it magnifies float16's rounding.
    place = place_for(data, tmp_path, seed=1, stage_one=stage(optimizer=optimizer, **settings))
    features = place.features_one()
    place.compute(features)
    cached, plain = place.train(place.stage_one(features)), place.train(place.stage_one(None))
    assert views_of(place, cached) == 3
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
    model = {"backbone": backbone, "dropout": 0.0}
    place = place_for(data, tmp_path, model=model, stage_one=settings, stage_two=settings)
    features = place.features_one()
    place.compute(features)
    cached, plain = (history_of(place.store, place.train(place.stage_one(each))) for each in (features, None))
    for name in ("loss", "val_loss"):
        np.testing.assert_allclose(cached[name][1:], plain[name][1:], rtol=0.01, err_msg=name)


def files_of(place: Place, ref: ArtifactRef) -> dict[str, bytes]:
    folder = place.store.verified(ref)
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "manifest.json"}


@pytest.mark.parametrize(("one", "two"), [(2, 3), (3, 2)])
@pytest.mark.parametrize("train", [LAST_BLOCK, {"from_layer": "block3_a_bn"}])  # the second ends between fused layers
def test_one_pass_that_makes_the_features_of_both_stages_writes_what_two_passes_write(
    data: Path, tmp_path: Path, train: Any, one: int, two: int
) -> None:
    stages = {"stage_one": stage(feature_views=one), "stage_two": stage(train=train, feature_views=two)}
    together, apart = (place_for(data, tmp_path / name, **stages) for name in ("together", "apart"))
    step = together.features_one()
    assert step.also is not None
    in_one_pass = together.compute(step)
    in_two = [apart.compute(each)[0] for each in (step.model_copy(update={"also": None}), step.also)]
    for ref, other, views in zip(in_one_pass, in_two, (one, two), strict=True):
        files = files_of(together, ref)
        assert files == files_of(apart, other)
        assert {f"view-{view}.npy" for view in range(views)} == {name for name in files if name.startswith("view-")}
        assert ref == other


def assert_cuts_do_not_change_what_follows(backbone: str, resolution: int, every: int) -> None:
    """Run the whole backbone, and put out besides what lies at some of the places where it can be cut."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    model = build_classifier(ModelConfig(backbone=backbone), classes=2, resolution=resolution, pretrained=False)
    random = np.random.default_rng(0)
    for layer in backbone_of(model).layers:
        if isinstance(layer, keras.layers.BatchNormalization):  # or there is nothing to fuse
            layer.set_weights([random.uniform(0.5, 1.5, array.shape) for array in layer.get_weights()])
    images = tf.constant(random.uniform(0, 255, (15, resolution, resolution, 3)), tf.float32)

    def outputs_of(*frozen: FrozenOutput) -> dict[str, np.ndarray]:
        computed = [Compute(each)(images) for each in frozen_models(model, frozen)]
        return {name: rows.numpy() for each in computed for name, rows in each.items()}

    whole = find_frozen_output(model, backbone, "whole", "head")
    assert whole is not None
    expected = outputs_of(whole)["whole"]
    layers = len(backbone_of(model).layers)
    cuts = [find_frozen_output(model, backbone, "cut", FromLayer(from_layer=index)) for index in range(2, layers)]
    different = list({id(cut.tensor): cut for cut in cuts if cut is not None}.values())
    assert len({cut.is_seam for cut in different[::every]}) == 2, "the test needs cuts of both kinds"
    for cut in different[::every]:
        outputs = outputs_of(whole, cut)
        np.testing.assert_array_equal(outputs["whole"], expected, err_msg=cut.tensor.name)
        np.testing.assert_array_equal(outputs["cut"], outputs_of(cut)["cut"], err_msg=cut.tensor.name)


def test_wherever_stage_two_begins_stage_ones_features_are_the_same() -> None:
    assert_cuts_do_not_change_what_follows("SmallCNN", 16, every=1)


@pytest.mark.slow
@pytest.mark.parametrize(("backbone", "every"), [("MobileNetV2", 7), ("EfficientNetB0", 9), ("ResNet50V2", 7)])
def test_in_every_kind_of_network_stage_ones_features_are_the_same(backbone: str, every: int) -> None:
    assert_cuts_do_not_change_what_follows(backbone, 32, every)


def assert_rows_do_not_depend_on_their_batch(backbone: str, resolution: int) -> None:
    """Compute the same images in other batches: elsewhere in them, with others, and in smaller ones."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    model = build_classifier(ModelConfig(backbone=backbone), classes=2, resolution=resolution, pretrained=False)
    images = np.random.default_rng(0).uniform(0, 255, (32, resolution, resolution, 3)).astype(np.float32)
    order = np.random.default_rng(1).permutation(32)
    for train in ("head", FromLayer(from_layer=len(backbone_of(model).layers) // 2)):
        frozen = find_frozen_output(model, backbone, "stage", train)
        assert frozen is not None
        compute = Compute(frozen_models(model, [frozen])[0])

        def rows(batch: np.ndarray, compute: Compute = compute) -> np.ndarray:
            outputs: np.ndarray = compute(tf.constant(batch))["stage"].numpy()
            return outputs

        expected = np.concatenate([rows(images[:16]), rows(images[16:])])
        np.testing.assert_array_equal(
            np.concatenate([rows(images[order[:16]]), rows(images[order[16:]])]), expected[order]
        )
        for size in (1, 5, 15):
            np.testing.assert_array_equal(rows(images[:size]), expected[:size])
            padded = np.concatenate([images[:size], np.zeros((16 - size, *images.shape[1:]), np.float32)])
            np.testing.assert_array_equal(rows(padded)[:size], expected[:size])


def test_what_comes_out_for_an_image_does_not_depend_on_its_batch() -> None:
    assert_rows_do_not_depend_on_their_batch("SmallCNN", 16)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backbone", "resolution"),
    [("MobileNetV2", 160), ("MobileNetV2", 96), ("EfficientNetB0", 224), ("ResNet50V2", 128)],
)
def test_in_every_kind_of_network_what_comes_out_for_an_image_does_not_depend_on_its_batch(
    backbone: str, resolution: int
) -> None:
    assert_rows_do_not_depend_on_their_batch(backbone, resolution)


@pytest.mark.parametrize(
    "change",
    [{"epochs": 7}, {"train": {"last_blocks": 2}}, {"feature_views": 2}, {"feature_views": 0}, {"resolution": 24}],
)
def test_nothing_that_stage_two_says_changes_the_keys_of_stage_one_and_its_features(
    data: Path, tmp_path: Path, change: dict[str, Any]
) -> None:
    two = stage(train=LAST_BLOCK)
    plain = place_for(data, tmp_path, stage_two=two)
    changed = place_for(data, tmp_path, stage_two=two | change)
    features, others = plain.features_one(), changed.features_one()
    assert others.key == features.key
    assert changed.stage_one(others).key == plain.stage_one(features).key


def test_one_pass_serves_both_stages_where_they_look_at_the_same_pictures(data: Path, tmp_path: Path) -> None:
    two = stage(train=LAST_BLOCK, epochs=4, feature_views=2)
    shared = place_for(data, tmp_path, stage_two=two)
    features = shared.features_one()
    shared.compute(features)
    one = shared.train(shared.stage_one(features))
    assert shared.features_two(one) == features.also
    assert views_of(shared, shared.train(shared.stage_two(one, features.also))) == 2
    apart = place_for(data, tmp_path, stage_two=two | {"resolution": 24})
    assert apart.features_two(one).start == one
    assert apart.features_one().also is None


def test_a_pass_makes_only_those_features_that_are_not_there(data: Path, tmp_path: Path) -> None:
    place = place_for(data, tmp_path, stage_two=stage(train=LAST_BLOCK))
    step = place.features_one()
    refs, reporter = place.compute(step), Recorder()
    place.store.forget(step.key)
    assert place.compute(step, reporter) == refs
    assert [line.partition(":")[0] for line in reporter.told("log")] == ["stage_one"]


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
    (ref,) = place.compute(features)
    decided = read_document(place.store.verified(ref))
    assert (decided.views, sorted(path.name for path in place.store.folder(ref).iterdir())) == (
        0,
        ["features.json", "manifest.json"],
    )
    stage_one = place.train(place.stage_one(features))
    assert views_of(place, stage_one) == 0
    plain = place.train(place.stage_one(None))
    assert stage_one == plain
