"""Optimizers get their settings; learning rates follow their schedule."""

from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from thaw.pipeline_config.stage_schema import LearningRateSchedule, Optimizer
from thaw.tasks.training.optimizers import build_optimizer, learning_rate_at

schedules = st.builds(
    LearningRateSchedule,
    name=st.sampled_from(["constant", "cosine"]),
    warmup_epochs=st.floats(0, 3),
    final_fraction=st.floats(0, 1),
)


@given(schedule=schedules, epochs=st.integers(3, 20), steps_per_epoch=st.integers(1, 50))
def test_learning_rate_rises_to_the_peak_and_never_rises_again(
    schedule: LearningRateSchedule, epochs: int, steps_per_epoch: int
) -> None:
    rates = [
        learning_rate_at(step, peak=0.1, schedule=schedule, steps_per_epoch=steps_per_epoch, epochs=epochs)
        for step in range(epochs * steps_per_epoch)
    ]
    top = int(np.argmax(rates))
    assert all(0 < rate <= 0.1 + 1e-12 for rate in rates[: top + 1])
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)


def test_constant_schedule_is_constant_after_the_warm_up() -> None:
    schedule = LearningRateSchedule(warmup_epochs=1.0)
    rates = [learning_rate_at(s, peak=1.0, schedule=schedule, steps_per_epoch=4, epochs=3) for s in range(12)]
    assert rates == pytest.approx([0.2, 0.4, 0.6, 0.8] + [1.0] * 8)


def test_cosine_ends_at_its_final_fraction() -> None:
    schedule = LearningRateSchedule(name="cosine", final_fraction=0.25)
    rates = [learning_rate_at(s, peak=2.0, schedule=schedule, steps_per_epoch=10, epochs=2) for s in (0, 19)]
    assert rates == pytest.approx([2.0, 0.5])


@pytest.mark.parametrize(
    ("document", "kind", "settings"),
    [
        ({"name": "adam", "learning_rate": 0.1, "beta_1": 0.8}, keras.optimizers.Adam, {"beta_1": 0.8}),
        ({"name": "adamw", "learning_rate": 0.1, "weight_decay": 0.5}, keras.optimizers.AdamW, {"weight_decay": 0.5}),
        ({"name": "sgd", "learning_rate": 0.1, "nesterov": True}, keras.optimizers.SGD, {"nesterov": True}),
        ({"name": "rmsprop", "learning_rate": 0.1, "rho": 0.7}, keras.optimizers.RMSprop, {"rho": 0.7}),
    ],
)
def test_each_optimizer_gets_its_settings(document: dict[str, Any], kind: type, settings: dict[str, Any]) -> None:
    config: Optimizer = TypeAdapter(Optimizer).validate_python(document)
    optimizer = build_optimizer(config, [keras.Variable(np.ones((2, 2), np.float32))])
    assert isinstance(optimizer, kind)
    assert {name: getattr(optimizer, name) for name in settings} == settings


def test_weight_decay_pulls_kernels_and_leaves_vectors_alone() -> None:
    kernel, bias = keras.Variable(np.ones((2, 2), np.float32)), keras.Variable(np.ones(2, np.float32))
    config: Optimizer = TypeAdapter(Optimizer).validate_python(
        {"name": "adamw", "learning_rate": 0.1, "weight_decay": 0.5}
    )
    optimizer = build_optimizer(config, [kernel, bias])
    optimizer.apply([np.zeros((2, 2), np.float32), np.zeros(2, np.float32)], [kernel, bias])
    np.testing.assert_allclose(kernel.numpy(), 0.95)
    np.testing.assert_array_equal(bias.numpy(), 1.0)
