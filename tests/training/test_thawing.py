"""What `train` and `batch_norm` mean, on real models: which tensors move in a step, and which stay bit for bit."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from thaw.pipeline_config.errors import RecipeError
from thaw.pipeline_config.schema import ModelConfig
from thaw.pipeline_config.stage_schema import FromLayer, LastBlocks, StageConfig
from thaw.tasks.training.model import backbone_of, build_classifier
from thaw.tasks.training.optimizers import build_optimizer
from thaw.tasks.training.step_functions import make_train_function
from thaw.tasks.training.thawing import Thawed, make_ordinary, thaw


def stage(**settings: Any) -> StageConfig:
    document = {"train": "all", "epochs": 1, "optimizer": {"name": "sgd", "learning_rate": 0.05}} | settings
    return StageConfig.model_validate(document)


def classifier(
    backbone: str = "SmallCNN", resolution: int = 16, classes: int = 3, *, head_batch_norm: bool = False
) -> keras.Model:
    keras.utils.set_random_seed(0)
    config = ModelConfig(backbone=backbone, head_batch_norm=head_batch_norm)
    model = build_classifier(config, classes=classes, resolution=resolution, pretrained=True)
    for layer in backbone_of(model).layers:
        if isinstance(layer, layers.BatchNormalization):
            # Statistics as after some training, so that normalizing with them differs from normalizing with a batch.
            layer.moving_mean.assign(np.full(layer.moving_mean.shape, 0.01, np.float32))
            layer.moving_variance.assign(np.full(layer.moving_variance.shape, 0.1, np.float32))
    return model


def take_steps(model: keras.Model, config: StageConfig, backbone: str = "SmallCNN", resolution: int = 16) -> Thawed:
    thawed = thaw(model, config, backbone)
    optimizer = build_optimizer(config.optimizer, thawed.variables)
    train = make_train_function(thawed, optimizer, class_weights=np.ones(3, np.float32), label_smoothing=0.0, seed=1)
    random = np.random.default_rng(0)
    for step in range(3):
        images = tf.constant(random.uniform(0, 255, (8, resolution, resolution, 3)), tf.float32)
        train(images, tf.constant(random.integers(0, 3, 8), tf.int32), tf.constant(0.05), tf.constant(step))
    return thawed


def changed(before: list[np.ndarray], after: list[np.ndarray]) -> list[bool]:
    return [not np.array_equal(old, new) for old, new in zip(before, after, strict=True)]


@pytest.mark.parametrize(
    ("mode", "learns", "adapts"),
    [("frozen", False, False), ("affine", True, False), ("statistics", False, True), ("train", True, True)],
)
def test_batch_norm_mode_decides_which_of_the_four_tensors_change(mode: str, learns: bool, adapts: bool) -> None:
    model = classifier()
    norms = [layer for layer in backbone_of(model).layers if isinstance(layer, layers.BatchNormalization)]
    before = [layer.get_weights() for layer in norms]
    take_steps(model, stage(batch_norm=mode))
    for old, layer in zip(before, norms, strict=True):
        gamma, beta, moving_mean, moving_variance = changed(old, layer.get_weights())
        assert (gamma, beta) == (learns, learns), layer.name
        assert (moving_mean, moving_variance) == (adapts, adapts), layer.name


def test_affine_normalizes_with_the_moving_statistics() -> None:
    model = classifier()
    thawed = thaw(model, stage(batch_norm="affine"), "SmallCNN")
    images = tf.random.stateless_uniform((4, 16, 16, 3), [1, 2], 0, 255)
    model.get_layer("dropout").rate = 0.0
    in_training = thawed.suffix(images, training=True)
    np.testing.assert_array_equal(in_training, thawed.suffix(images, training=False))


def test_head_trains_two_tensors_and_leaves_the_backbone_alone() -> None:
    model = classifier()
    before = backbone_of(model).get_weights()
    thawed = take_steps(model, stage(train="head"))
    assert [variable.path for variable in thawed.variables] == ["logits/kernel", "logits/bias"]
    assert not any(changed(before, backbone_of(model).get_weights()))


def test_last_batch_norm_adapts_only_the_last_one_and_the_classifier() -> None:
    model = classifier()
    before = {layer.name: layer.get_weights() for layer in backbone_of(model).layers}
    take_steps(model, stage(train="last_batch_norm", batch_norm="statistics"))
    moved = [layer.name for layer in backbone_of(model).layers if any(changed(before[layer.name], layer.get_weights()))]
    assert moved == ["block3_b_bn"]


def test_last_blocks_thaws_whole_blocks_and_what_follows() -> None:
    model = classifier()
    before = {layer.name: layer.get_weights() for layer in backbone_of(model).layers}
    take_steps(model, stage(train=LastBlocks(last_blocks=1), batch_norm="frozen"))
    moved = [layer.name for layer in backbone_of(model).layers if any(changed(before[layer.name], layer.get_weights()))]
    assert moved == ["block3_a_conv", "block3_b_conv"]


def test_mobilenet_has_the_tutorials_numbers_of_tensors_and_parameters() -> None:
    # Two outputs instead of the tutorial's one: 1,281 more numbers than its 2,259,265, and 2,562 trained in the head.
    model = classifier("MobileNetV2", 96, classes=2)
    assert model.count_params() == 2_259_265 + 1_281
    head = thaw(model, stage(train="head"), "MobileNetV2")
    assert sum(int(np.prod(variable.shape)) for variable in head.variables) == 2 * 1_281
    thawed = thaw(model, stage(train=FromLayer(from_layer=100), batch_norm="affine"), "MobileNetV2")
    assert len(thawed.variables) == 56
    assert sum(int(np.prod(variable.shape)) for variable in thawed.variables) == 1_862_721 + 1_281


def test_efficient_net_has_the_tutorials_numbers_of_parameters() -> None:
    # 120 classes from scratch, as `include_top=True` has it: global average pooling, dropout and a dense layer.
    model = classifier("EfficientNetB0", 32, classes=120)
    assert model.count_params() == 4_203_291
    thawed = thaw(model, stage(train="all", batch_norm="train"), "EfficientNetB0")
    assert 4_203_291 - sum(int(np.prod(variable.shape)) for variable in thawed.variables) == 42_023


def test_the_last_block_is_what_the_tutorial_thaws_with_its_last_20_layers() -> None:
    # 16 layers of the backbone and the four of its head: pooling, BatchNormalization, dropout, classifier.
    model = classifier("EfficientNetB0", 32, classes=120, head_batch_norm=True)
    thawed = thaw(model, stage(train=LastBlocks(last_blocks=1)), "EfficientNetB0")
    last = [layer for layer in backbone_of(model).layers[-16:] if not isinstance(layer, layers.BatchNormalization)]
    expected = [variable.path for layer in last for variable in layer.weights] + ["logits/kernel", "logits/bias"]
    assert [variable.path for variable in thawed.variables] == expected


@pytest.mark.parametrize(
    ("mode", "learns", "adapts"),
    [(None, False, False), ("affine", True, False), ("statistics", False, True), ("train", True, True)],
)
def test_the_heads_batch_norm_has_a_mode_of_its_own(mode: str | None, learns: bool, adapts: bool) -> None:
    model = classifier(head_batch_norm=True)
    layer = model.get_layer("head_batch_norm")
    before = [*layer.get_weights(), *backbone_of(model).get_weights()]
    take_steps(model, stage(train="head", head_batch_norm=mode))
    moved = changed(before, [*layer.get_weights(), *backbone_of(model).get_weights()])
    assert moved[:4] == [learns, learns, adapts, adapts]
    assert not any(moved[4:])
    make_ordinary(model)
    assert layer.trainable


def test_from_layer_inside_a_block_with_a_shortcut_warns_and_names_its_first_layer() -> None:
    model = classifier("MobileNetV2", 96)
    (warning,) = thaw(model, stage(train=FromLayer(from_layer=100)), "MobileNetV2").warnings
    assert "block_11_expand (index 98)" in warning
    assert thaw(model, stage(train=FromLayer(from_layer=98)), "MobileNetV2").warnings == []


@pytest.mark.parametrize(
    ("backbone", "train"),
    [
        *(
            ("SmallCNN", train)
            for train in ("all", "head", "last_batch_norm", LastBlocks(last_blocks=1), FromLayer(from_layer=17))
        ),
        ("MobileNetV2", FromLayer(from_layer=100)),
        ("ResNet50V2", "last_batch_norm"),
        ("EfficientNetB0", LastBlocks(last_blocks=2)),
    ],
    ids=str,
)
def test_prefix_and_suffix_together_are_the_model(backbone: str, train: Any) -> None:
    model = _models.setdefault(backbone, classifier(backbone, 32))
    thawed = thaw(model, stage(train=train), backbone)
    images = tf.random.stateless_uniform((2, 32, 32, 3), [1, 2], 0, 255)
    features = images if thawed.prefix is None else thawed.prefix(images, training=False)
    logits = thawed.suffix(features, training=False)
    np.testing.assert_allclose(tf.nn.softmax(logits), model(images, training=False), atol=1e-6)


_models: dict[str, keras.Model] = {}


@pytest.mark.parametrize("backbone", ["MobileNetV2", "EfficientNetB0"])
def test_a_thawed_part_never_begins_inside_the_prefix(backbone: str) -> None:
    model = _models.setdefault(backbone, classifier(backbone, 32))
    thawed = thaw(model, stage(train=LastBlocks(last_blocks=2)), backbone)
    assert thawed.prefix is not None
    frozen = {variable.path for variable in thawed.prefix.weights}
    assert not frozen & {variable.path for variable in thawed.variables}


def test_frozen_layers_run_as_in_inference_also_in_a_block_that_is_thawed_in_part() -> None:
    where = "block2b_add"  # after the block's dropout
    model = classifier("EfficientNetB0", 32)
    thawed = thaw(model, stage(train=FromLayer(from_layer=where), batch_norm="frozen"), "EfficientNetB0")
    names = [layer.name for layer in backbone_of(model).layers]
    for layer in backbone_of(model).layers[names.index(where) :]:
        if isinstance(layer, layers.Dropout):
            layer.rate = 0.0  # what is left to draw is frozen
    model.get_layer("dropout").rate = 0.0
    assert thawed.prefix is not None
    images = tf.random.stateless_uniform((8, 32, 32, 3), [1, 2], 0, 255)
    features = thawed.prefix(images, training=False)
    in_inference = thawed.suffix(features, training=False)
    np.testing.assert_array_equal(thawed.suffix(features, training=True), in_inference)
    np.testing.assert_allclose(tf.nn.softmax(in_inference), model(images, training=False), atol=1e-6)


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (LastBlocks(last_blocks=4), "at most 3"),
        (FromLayer(from_layer=99), "must be 0 to"),
        (FromLayer(from_layer="block3_a_cnov"), "Nearest: block3_a_conv"),
    ],
)
def test_a_place_that_the_backbone_does_not_have_is_refused(train: Any, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        thaw(classifier(), stage(train=train), "SmallCNN")


def test_an_ordinary_model_is_trainable_everywhere() -> None:
    model = classifier()
    thaw(model, stage(train="head"), "SmallCNN")
    make_ordinary(model)
    assert all(layer.trainable for layer in backbone_of(model).layers)
