"""A folded BatchNormalization computes what it computed, and so do the gradients."""

import contextlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tests.training.test_thawing import classifier, stage
from thaw.pipeline_config.stage_schema import BatchNormMode
from thaw.tasks.training.folding import Folding
from thaw.tasks.training.model import backbone_of
from thaw.tasks.training.thawing import Thawed, thaw

NETWORKS = [
    ("SmallCNN", 16),
    ("MobileNetV2", 32),
    pytest.param("EfficientNetB0", 32, marks=pytest.mark.slow),
    pytest.param("ResNet50V2", 32, marks=pytest.mark.slow),
]


def with_uneven_statistics(model: keras.Model) -> keras.Model:
    random = np.random.default_rng(1)
    for layer in backbone_of(model).layers:
        if isinstance(layer, layers.BatchNormalization):
            shape = layer.gamma.shape
            low_and_high = ((0.5, 1.5), (-0.5, 0.5), (-0.1, 0.1), (0.3, 2.0))  # gamma, beta, mean, variance
            layer.set_weights([random.uniform(*ends, shape).astype(np.float32) for ends in low_and_high])
    return model


def count_folded(model: keras.Model) -> int:
    return len(Folding(model)._pairs)


def outputs_and_gradients(thawed: Thawed, scope: Callable[[], contextlib.AbstractContextManager[object]]) -> list[Any]:
    images = tf.random.stateless_uniform([4, *thawed.suffix.input_shape[1:]], [1, 2])
    watched = [variable.value for variable in thawed.variables]

    @tf.function
    def compute() -> list[tf.Tensor]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(watched)
            with scope():
                logits = thawed.suffix(images, training=False)
            loss = tf.reduce_mean(logits[:, 0] - 2 * logits[:, 1])
        return [logits, *tape.gradient(loss, watched)]

    outputs: list[Any] = compute()
    return outputs


@pytest.mark.parametrize("mode", ["frozen", "affine"])
@pytest.mark.parametrize(("backbone", "resolution"), NETWORKS)
def test_folded_layers_give_the_same_logits_and_gradients(backbone: str, resolution: int, mode: BatchNormMode) -> None:
    model = with_uneven_statistics(classifier(backbone, resolution))
    thawed = thaw(model, stage(batch_norm=mode), backbone)
    assert count_folded(thawed.suffix) > 0
    plain = outputs_and_gradients(thawed, contextlib.nullcontext)
    folded = outputs_and_gradients(thawed, Folding(thawed.suffix).scope)
    for one, other in zip(plain, folded, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-3, atol=1e-4 * float(tf.reduce_max(tf.abs(one))))


def test_every_batch_norm_of_mobilenet_is_folded() -> None:
    model = classifier("MobileNetV2", 32)
    norms = [layer for layer in backbone_of(model).layers if isinstance(layer, layers.BatchNormalization)]
    thawed = thaw(model, stage(batch_norm="frozen"), "MobileNetV2")
    assert count_folded(thawed.suffix) == len(norms)


def test_a_convolution_before_the_thawed_part_takes_nothing() -> None:
    model = classifier("MobileNetV2", 32)
    names = [layer.name for layer in backbone_of(model).layers]
    counts = []
    for name in ("block_16_project", "block_16_project_BN"):  # after the last shortcut: both are cuts
        thawed = thaw(model, stage(train={"from_layer": names.index(name)}, batch_norm="frozen"), "MobileNetV2")
        counts.append(count_folded(thawed.suffix))
    assert counts == [2, 1]  # the last one is of Conv_1


@pytest.mark.parametrize("mode", ["statistics", "train"])
def test_layers_that_adapt_are_left_as_they_are(mode: BatchNormMode) -> None:
    thawed = thaw(classifier(), stage(batch_norm=mode), "SmallCNN")
    assert count_folded(thawed.suffix) == 0


@pytest.mark.parametrize(
    ("convolution", "count"),
    [
        (layers.Conv2D(4, 3, use_bias=False), 1),
        (layers.Conv2D(4, 3, use_bias=False, groups=2), 1),
        (layers.DepthwiseConv2D(3, use_bias=False, depth_multiplier=2), 1),
        (layers.Conv2D(4, 3), 0),
        (layers.Conv2D(4, 3, use_bias=False, activation="relu"), 0),
        (layers.SeparableConv2D(4, 3, use_bias=False), 0),
    ],
)
def test_only_a_plain_convolution_takes_what_comes_after_it(convolution: layers.Layer, count: int) -> None:
    start = keras.Input((8, 8, 2))
    norm = layers.BatchNormalization()
    norm.trainable = False
    model = keras.Model(start, norm(convolution(start)))
    norm.set_weights([np.linspace(0.5, 1.5, norm.gamma.shape[0]) + number for number in range(4)])
    assert count_folded(model) == count
    images = tf.random.stateless_uniform([2, 8, 8, 2], [1, 2])
    with Folding(model).scope():
        folded = model(images)
    np.testing.assert_allclose(folded, model(images), rtol=1e-4, atol=1e-5)


def test_a_convolution_whose_output_is_used_twice_is_left_as_it_is() -> None:
    start = keras.Input((8, 8, 2))
    output = layers.Conv2D(4, 3, use_bias=False)(start)
    norm = layers.BatchNormalization(trainable=False)
    model = keras.Model(start, layers.add([norm(output), output]))
    assert count_folded(model) == 0


@pytest.mark.parametrize("epsilon", [1e-3, 1.001e-5])  # Keras's, and that of its ResNets
def test_what_is_left_to_multiply_by_is_exactly_one(epsilon: float) -> None:
    start = keras.Input((8, 8, 2))
    norm = layers.BatchNormalization(epsilon=epsilon, trainable=False)
    model = keras.Model(start, norm(layers.Conv2D(4, 3, use_bias=False)(start)))
    norm.set_weights([np.linspace(0.5, 1.5, 4) + number for number in range(4)])
    with Folding(model).scope():
        factor = norm.gamma.value / tf.sqrt(norm.moving_variance.value + norm.epsilon)
        subtracted = norm.moving_mean.value
    np.testing.assert_array_equal(factor, np.ones(4))
    np.testing.assert_array_equal(subtracted, np.zeros(4))
