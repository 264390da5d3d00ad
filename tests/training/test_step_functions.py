"""One step: what it draws is its own, its loss is that of stored predictions, and what adapts ends near the truth."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given
from hypothesis import strategies as st
from keras import layers

from tests.training.test_thawing import stage
from thaw.tasks.evaluation.predictions import predictions_table
from thaw.tasks.training.optimizers import build_optimizer
from thaw.tasks.training.pipeline import epoch_after_epoch
from thaw.tasks.training.step_functions import make_measure_function, make_train_function
from thaw.tasks.training.thawing import Thawed


def test_a_step_draws_alike_in_every_layer_whatever_was_drawn_before() -> None:
    start, dense = keras.Input((64,)), layers.Dense(2)
    inner = keras.Sequential([layers.Dropout(0.5), layers.GaussianDropout(0.5)])
    model = keras.Model(start, dense(layers.Dropout(0.5)(inner(start))))
    thawed = Thawed(None, model, dense.weights, [])
    train = make_train_function(
        thawed,
        build_optimizer(stage().optimizer, thawed.variables),
        class_weights=np.ones(2, np.float32),
        label_smoothing=0.0,
        seed=1,
    )

    def loss_of_step(step: int) -> float:
        loss, _ = train(tf.ones([8, 64]), tf.zeros([8], tf.int32), tf.constant(0.0), tf.constant(step))
        return float(loss)

    first, second = loss_of_step(0), loss_of_step(1)
    assert first != second
    assert [loss_of_step(1), loss_of_step(0)] == [second, first]


_LOGITS = keras.Input((3,))
_MEASURE = make_measure_function(Thawed(None, keras.Model(_LOGITS, layers.Activation("linear")(_LOGITS)), [], []))


@given(st.lists(st.lists(st.floats(-150, 150, width=32), min_size=3, max_size=3), min_size=1, max_size=4))
@example([[0.0, 0.0, 87.0]])
@example([[0.0, 0.0, 86.625]])
def test_the_validation_loss_is_that_of_stored_predictions_however_sure_the_model_is(logits: list[list[float]]) -> None:
    rows, labels = tf.constant(logits, tf.float32), np.arange(len(logits), dtype=np.int32) % 3
    loss, _ = _MEASURE(rows, tf.constant(labels))
    table = predictions_table(["aa"] * len(labels), labels, tf.nn.softmax(rows).numpy(), ["a", "b", "c"])
    assert float(loss) == pytest.approx(table["loss"].to_numpy().sum(), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("images", [65, 68, 69])
def test_moving_variances_end_near_the_true_one_whatever_is_left_for_the_last_batch(images: int) -> None:
    values = np.random.default_rng(0).normal(size=(images, 64)).astype(np.float32)
    start, norm = keras.Input((64,)), layers.BatchNormalization(momentum=0.9)
    dense = layers.Dense(2)
    model = keras.Model(start, dense(norm(start)))
    config = stage(epochs=20, batch_size=32)
    thawed = Thawed(None, model, dense.weights, [])
    train = make_train_function(
        thawed,
        build_optimizer(config.optimizer, thawed.variables),
        class_weights=np.ones(2, np.float32),
        label_smoothing=0.0,
        seed=1,
    )

    def batched(_: tf.Tensor, positions: tf.data.Dataset, size: int) -> tf.data.Dataset:
        return positions.map(lambda position: tf.constant(values)[position]).batch(size)

    batches = epoch_after_epoch(batched, np.arange(images), config, seed=0, salt=0, first_epoch=1, first_step=0)
    for step, rows in enumerate(batches):
        train(rows, tf.zeros([len(rows)], tf.int32), tf.constant(0.0), tf.constant(step))
    share = norm.moving_variance.numpy() / values.var(axis=0)
    assert share.mean() > 0.9
