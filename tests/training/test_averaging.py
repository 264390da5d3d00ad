"""The moving average of weights: its arithmetic, and what a stage does with it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from thaw.pipeline_config.schema import ModelConfig
from thaw.pipeline_config.stage_schema import StageConfig
from thaw.tasks.training.averaging import WeightAverage, averaged_variables
from thaw.tasks.training.model import build_classifier
from thaw.tasks.training.optimizers import build_optimizer
from thaw.tasks.training.step_functions import make_measure_function, make_train_function
from thaw.tasks.training.thawing import Thawed, thaw

IMAGES = tf.random.stateless_uniform((8, 16, 16, 3), [1, 2], 0, 255)
LABELS = tf.constant([0, 1, 2, 0, 1, 2, 0, 1], tf.int32)


def test_the_average_moves_by_its_share_after_a_quick_start() -> None:
    variable = keras.Variable(np.zeros(2, np.float32))
    average = WeightAverage([variable], decay=0.5)
    expected = 0.0
    for step, kept in enumerate([1 / 10, 2 / 11, 3 / 12, 4 / 13, 5 / 14, 6 / 15, 7 / 16, 8 / 17, 0.5, 0.5]):
        variable.assign(np.full(2, step + 1.0, np.float32))
        average.update(tf.constant(step))
        expected = kept * expected + (1 - kept) * (step + 1)
        np.testing.assert_allclose(average.variables[0], [expected] * 2, rtol=1e-6)


def trained(decay: float, mode: str = "train") -> tuple[Thawed, WeightAverage]:
    keras.utils.set_random_seed(0)
    model = build_classifier(ModelConfig(backbone="SmallCNN"), classes=3, resolution=16, pretrained=True)
    stage = StageConfig.model_validate(
        {"train": "all", "batch_norm": mode, "epochs": 1, "optimizer": {"name": "sgd", "learning_rate": 0.1}}
    )
    thawed = thaw(model, stage, "SmallCNN")
    average = WeightAverage(averaged_variables(thawed.suffix, thawed.variables), decay)
    optimizer = build_optimizer(stage.optimizer, thawed.variables)
    train = make_train_function(
        thawed, optimizer, class_weights=np.ones(3, np.float32), label_smoothing=0.0, seed=1, average=average
    )
    for step in range(3):
        train(IMAGES, LABELS, tf.constant(0.1), tf.constant(step))
    return thawed, average


def test_measuring_reads_the_average_and_leaves_the_weights_alone() -> None:
    thawed, average = trained(0.99)
    weights = thawed.suffix.get_weights()
    measured = make_measure_function(thawed, average)(IMAGES, LABELS)
    raw = make_measure_function(thawed)(IMAGES, LABELS)
    assert all(np.array_equal(old, new) for old, new in zip(weights, thawed.suffix.get_weights(), strict=True))
    thawed.suffix.set_weights(average.weights_of(thawed.suffix))
    replaced = make_measure_function(thawed)(IMAGES, LABELS)
    assert float(measured[0]) == pytest.approx(float(replaced[0]), rel=1e-5)
    assert float(measured[0]) != pytest.approx(float(raw[0]), rel=1e-3)


@pytest.mark.parametrize(("mode", "per_norm"), [("frozen", 0), ("affine", 2), ("statistics", 2), ("train", 4)])
def test_what_changes_is_averaged_and_nothing_else(mode: str, per_norm: int) -> None:
    _, average = trained(0.9, mode)
    assert len(average.variables) == 6 * per_norm + 6 + 2  # six BatchNormalizations, six kernels, the classifier
