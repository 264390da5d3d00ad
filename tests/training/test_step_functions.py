"""One step: what it draws is its own, whatever was drawn before."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from tests.training.test_thawing import stage
from thaw.tasks.training.optimizers import build_optimizer
from thaw.tasks.training.step_functions import make_train_function
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
