"""The loop by itself, with training that is made up: what an epoch's loss is, which epoch is the best, when to stop."""

from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import keras
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from tests.support import silent_reporter
from tests.training.test_thawing import stage
from thaw.tasks.training.checkpoint import Checkpoints
from thaw.tasks.training.examples import Examples
from thaw.tasks.training.loop import Loop
from thaw.tasks.training.state import TrainingState

IMAGES = 10  # for validation
losses = st.floats(0, 100, width=32)
measurements = st.lists(st.tuples(st.sampled_from([0.25, 0.5, 2.0]), st.integers(0, 2)), min_size=1, max_size=6)


def run(validation: list[tuple[float, int]], steps: list[tuple[float, int]] | None = None, **settings: Any) -> Any:
    """Run a stage of as many epochs as there are measurements, less the first; of each step its loss and images."""
    steps = steps or [(1.0, 4)]
    measured = iter(validation)

    def training(**_: int) -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
        while True:
            yield from ((tf.constant(loss), tf.zeros([images], tf.int32)) for loss, images in steps)

    def evaluate(*_: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        loss, right = next(measured)
        return tf.constant(loss * IMAGES), tf.constant(right)

    one_pass = [(tf.zeros([IMAGES]), tf.zeros([IMAGES], tf.int32), tf.range(IMAGES))]
    reporter = silent_reporter()
    return Loop(
        name="stage_one",
        model=_MODEL,
        stage=stage(epochs=len(validation) - 1, **settings),
        train=lambda loss, *_: (loss, tf.constant(0)),
        evaluate=evaluate,
        examples=Examples(training, one_pass),
        steps_per_epoch=len(steps),
        loss_of_guessing=1.0,
        average=None,
        checkpoints=Checkpoints("stage_one", Path("nowhere"), [], every=10**9, reporter=reporter),
        asked_to_leave=Event(),
        reporter=reporter,
    ).run()


_MODEL = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])


@given(st.lists(st.tuples(losses, st.integers(1, 40)), min_size=1, max_size=6))
def test_the_loss_of_an_epoch_is_the_mean_over_its_images(steps: list[tuple[float, int]]) -> None:
    state = run([(1.0, 0)] * 3, steps)
    of_images = [loss for loss, images in steps for _ in range(images)]
    for row in state.history[1:]:
        assert row.loss == pytest.approx(sum(of_images) / len(of_images), rel=1e-6, abs=1e-12)


@given(st.lists(losses, min_size=1, max_size=60), st.data())
def test_the_loss_of_an_epoch_is_that_of_its_images_however_they_are_parted(images: list[float], data: Any) -> None:
    state, rest = TrainingState(), images
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        state.add_step(sum(rest[:size]) / size, right=0, seen=size)
        rest = rest[size:]
    assert state.loss_sum / state.seen == pytest.approx(sum(images) / len(images), rel=1e-9)


@given(measurements)
def test_of_equal_accuracies_the_best_epoch_has_the_lower_loss(validation: list[tuple[float, int]]) -> None:
    state = run(validation, keep="best")
    assert state.best_epoch == min(range(len(validation)), key=lambda e: (-validation[e][1], validation[e][0], e))


@given(measurements)
def test_of_equal_losses_the_best_epoch_has_the_higher_accuracy(validation: list[tuple[float, int]]) -> None:
    state = run(validation, keep="best", metric="val_loss")
    assert state.best_epoch == min(range(len(validation)), key=lambda e: (validation[e][0], -validation[e][1], e))


def test_early_stopping_waits_for_its_metric_alone() -> None:
    validation = [(2.0, 5), (1.9, 6), (1.8, 6), (1.7, 6), (1.6, 6)]  # the loss falls on, the accuracy stays
    state = run(validation, keep="best", early_stopping={"patience": 2})
    assert (len(state.history) - 1, state.best_epoch) == (3, 3)
