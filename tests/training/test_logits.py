"""The temperature in a classifier's last layer. With TensorFlow."""

import keras
import numpy as np
import pytest
from scipy.special import softmax

from thaw.pipeline_config.schema import ModelConfig
from thaw.tasks.training.logits import divide_logits, logits_model
from thaw.tasks.training.model import LOGITS_NAME, build_classifier

IMAGES = np.random.default_rng(0).uniform(0, 255, (4, 16, 16, 3)).astype(np.float32)


def build():
    keras.utils.set_random_seed(0)
    config = ModelConfig(backbone="SmallCNN", head_batch_norm=True)
    return build_classifier(config, classes=5, resolution=16, pretrained=False)


@pytest.mark.parametrize("temperature", [0.3, 1.7, 60.0])
def test_the_probabilities_are_those_of_divided_logits(temperature):
    model = build()
    logits = logits_model(model)(IMAGES, training=False).numpy()
    np.testing.assert_allclose(model(IMAGES, training=False).numpy(), softmax(logits, axis=1), atol=1e-6)
    divide_logits(model, temperature)
    found = model(IMAGES, training=False).numpy()
    np.testing.assert_allclose(found, softmax(logits / temperature, axis=1), atol=1e-6)
    assert (found.argmax(axis=1) == logits.argmax(axis=1)).all()


def test_temperature_1_and_all_other_layers_leave_every_bit():
    model, same = build(), build()
    divide_logits(model, 1.0)
    for one, other in zip(model.get_weights(), same.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    divide_logits(model, 1.7)
    names = [layer.name for layer in model.layers if layer.name != LOGITS_NAME]
    for name in names:
        for one, other in zip(model.get_layer(name).get_weights(), same.get_layer(name).get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)


def test_the_last_layer_has_float32_whatever_training_computes_in():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = build()
    finally:
        keras.config.set_dtype_policy("float32")
    layer = model.get_layer(LOGITS_NAME)
    assert (layer.compute_dtype, layer.kernel.dtype) == ("float32", "float32")
    divide_logits(model, 1.7)
    assert {weights.dtype.name for weights in layer.get_weights()} == {"float32"}
