"""Classifiers: their shape, the input range of each backbone, and the same network however its weights are loaded."""

import hashlib
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras.src.applications import efficientnet

from thaw.pipeline_config.backbones import BACKBONES
from thaw.pipeline_config.errors import DownloadError, RecipeError
from thaw.pipeline_config.schema import ModelConfig
from thaw.tasks.training.backbones import NETWORKS
from thaw.tasks.training.model import backbone_of, build_classifier, weights_sha256


def build(
    backbone: str, resolution: int = 32, weights: str | None = None, *, pretrained: bool = True, **settings: Any
) -> keras.Model:
    keras.utils.set_random_seed(0)
    config = ModelConfig(backbone=backbone, weights=weights, **settings)
    return build_classifier(config, classes=3, resolution=resolution, pretrained=pretrained)


def photos(resolution: int = 32) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (2, resolution, resolution, 3)).astype(np.float32)


def test_the_schema_names_exactly_the_backbones_that_there_are() -> None:
    assert set(BACKBONES) == set(NETWORKS)


def test_efficient_nets_have_their_own_resolutions() -> None:
    resolutions = [BACKBONES[f"EfficientNetB{number}"].resolution for number in range(8)]
    assert resolutions == [224, 240, 260, 300, 380, 456, 528, 600]


def test_a_classifier_gives_probabilities() -> None:
    probabilities = build("SmallCNN").predict(photos(), verbose=0)
    assert probabilities.shape == (2, 3)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("backbone", "low", "high"),
    [("SmallCNN", 0, 1), ("MobileNetV2", -1, 1), ("ResNet50V2", -1, 1), ("EfficientNetB0", 0, 255)],
)
def test_each_backbone_gets_the_range_that_it_expects(backbone: str, low: float, high: float) -> None:
    model = build(backbone)
    scaled = model.get_layer("rescaling")(np.array([0.0, 255.0], np.float32))
    np.testing.assert_allclose(scaled, [low, high], atol=1e-6)


def test_mobilenet_takes_a_size_that_its_weights_were_not_trained_at() -> None:
    assert build("MobileNetV2", 72).predict(photos(72), verbose=0).shape == (2, 3)


def test_weights_of_a_file_are_loaded(tmp_path: Path) -> None:
    keras.utils.set_random_seed(5)
    other = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(64, 64, 3))
    other.save_weights(tmp_path / "other.weights.h5")
    model = build("MobileNetV2", weights=str(tmp_path / "other.weights.h5"))
    assert weights_sha256(backbone_of(model).get_weights()) == weights_sha256(other.get_weights())


def test_a_file_with_other_weights_is_refused_in_one_line(tmp_path: Path) -> None:
    build("SmallCNN").save_weights(tmp_path / "small.weights.h5")
    with pytest.raises(RecipeError, match="does not hold the weights of MobileNetV2") as refused:
        build("MobileNetV2", weights=str(tmp_path / "small.weights.h5"))
    assert "\n" not in str(refused.value)


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file such as ImageNet's, with the channels' deviation in place of the variance; a download finds it."""
    keras.utils.set_random_seed(6)
    model = keras.applications.EfficientNetB0(include_top=False, weights=None, input_shape=(32, 32, 3))
    (normalization,) = (layer for layer in model.layers if isinstance(layer, keras.layers.Normalization))
    mean, deviation = (np.asarray(values, np.float32) for values in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    normalization.set_weights([mean, deviation, normalization.get_weights()[2]])
    path = tmp_path / "published.weights.h5"
    model.save_weights(path)
    monkeypatch.setattr(efficientnet.file_utils, "get_file", lambda *_, **__: str(path))
    return path


@pytest.mark.slow
def test_an_efficient_net_is_the_same_network_by_name_from_a_file_and_rebuilt(published: Path, tmp_path: Path) -> None:
    reference = keras.applications.EfficientNetB0(include_top=False, weights="imagenet", input_shape=(32, 32, 3))
    features = reference.predict(photos(), verbose=0)
    by_name, from_file = build("EfficientNetB0", weights="imagenet"), build("EfficientNetB0", weights=str(published))
    by_name.save_weights(tmp_path / "stage.weights.h5")
    rebuilt = build("EfficientNetB0", weights="imagenet", pretrained=False)
    rebuilt.load_weights(tmp_path / "stage.weights.h5")
    for model in (by_name, from_file, rebuilt):
        np.testing.assert_allclose(backbone_of(model).predict(photos(), verbose=0), features, rtol=1e-3, atol=1e-4)


def test_the_classifier_starts_alike_however_the_backbone_is_loaded(published: Path) -> None:
    heads = [
        build("EfficientNetB0", weights=weights).get_layer("logits").kernel.numpy()
        for weights in (None, "imagenet", str(published))
    ]
    np.testing.assert_array_equal(heads[0], heads[1])
    np.testing.assert_array_equal(heads[0], heads[2])


def test_weights_that_cannot_be_downloaded_are_an_error_that_may_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> str:
        raise Exception("URL fetch failure: no route to host")  # as keras.utils.get_file does

    monkeypatch.setattr(efficientnet.file_utils, "get_file", fail)
    with pytest.raises(DownloadError, match="no route to host"):
        build("EfficientNetB0", weights="imagenet")


def drop_rates(model: keras.Model) -> list[float]:
    return [layer.rate for layer in backbone_of(model).layers if isinstance(layer, keras.layers.Dropout)]


def test_drop_connect_rate_grows_with_depth_to_just_below_the_rate_that_is_asked_for() -> None:
    usual, stronger = drop_rates(build("EfficientNetB0")), drop_rates(build("EfficientNetB0", drop_connect_rate=0.4))
    np.testing.assert_allclose(stronger, np.multiply(usual, 2))
    assert stronger == sorted(stronger)
    assert max(stronger) == pytest.approx(0.4 * 14 / 16)  # the last block with a shortcut is number 14 of 0 to 15
    assert set(drop_rates(build("EfficientNetB0", drop_connect_rate=0.0))) == {0.0}


@pytest.mark.slow
def test_drop_connect_rate_keeps_pretrained_weights(published: Path) -> None:
    models = [build("EfficientNetB0", weights=str(published), drop_connect_rate=rate) for rate in (None, 0.4)]
    np.testing.assert_array_equal(*(backbone_of(model).predict(photos(), verbose=0) for model in models))


def test_the_head_normalizes_pooled_features_before_it_drops_some() -> None:
    names = [layer.name for layer in build("SmallCNN", head_batch_norm=True).layers]
    assert names[-5:] == ["pooling", "head_batch_norm", "dropout", "logits", "probabilities"]


def test_the_digest_of_weights_depends_on_values_shapes_and_types() -> None:
    one: list[np.ndarray] = [np.zeros((2, 3), np.float32), np.ones(2, np.float32)]
    others: list[list[np.ndarray]] = [
        [np.zeros((3, 2), np.float32), np.ones(2, np.float32)],
        [np.zeros((2, 3), np.float32), np.ones(2, np.float64)],
        [np.zeros((2, 3), np.float32), np.full(2, 1 + 1e-7, np.float32)],
    ]
    assert weights_sha256(one) == weights_sha256([array.copy() for array in one])
    assert len({weights_sha256(arrays) for arrays in [one, *others]}) == 4
    assert len(weights_sha256(one)) == hashlib.sha256().digest_size * 2
