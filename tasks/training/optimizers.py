"""Optimizers and learning rates: a learning rate is a pure function of the step."""

import math
from collections.abc import Callable

import keras

from thaw.pipeline_config.schema import Precision
from thaw.pipeline_config.stage_schema import SGD, Adam, AdamW, LearningRateSchedule, Optimizer, RMSprop

_CLASSES: dict[type, Callable[..., keras.optimizers.Optimizer]] = {
    Adam: keras.optimizers.Adam,
    AdamW: keras.optimizers.AdamW,
    SGD: keras.optimizers.SGD,
    RMSprop: keras.optimizers.RMSprop,
}


def build_optimizer(
    config: Optimizer, variables: list[keras.Variable], precision: Precision = "float32"
) -> keras.optimizers.Optimizer:
    """Build an optimizer, with its state variables, for the variables that learn.

    Under "float16" small gradients would become zero, so the loss is scaled, and a training step whose gradients are
    not finite is left out. The learning rate is set at every training step by the loop.
    """
    optimizer = _CLASSES[type(config)](**config.model_dump(exclude={"name"}))
    if isinstance(config, AdamW):
        # Decay pulls kernels towards zero; biases, gamma and beta are vectors, and are left alone.
        optimizer.exclude_from_weight_decay([variable for variable in variables if len(variable.shape) < 2])
    if precision == "float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    optimizer.build(variables)
    return optimizer


def learning_rate_at(
    step: int, *, peak: float, schedule: LearningRateSchedule, steps_per_epoch: int, epochs: int
) -> float:
    """Compute the learning rate of a training step, counted from 0 over the whole stage.

    The warm-up rises linearly and reaches the peak at its end; the cosine then falls to `final_fraction` of the peak at
    the last step (Loshchilov and Hutter, 2017, without restarts).
    """
    warmup_steps = schedule.warmup_epochs * steps_per_epoch
    if step < warmup_steps:
        return peak * (step + 1) / (warmup_steps + 1)
    if schedule.name == "constant":
        return peak
    last = steps_per_epoch * epochs - 1
    share = (step - warmup_steps) / max(last - warmup_steps, 1)
    final = schedule.final_fraction
    return peak * (final + (1 - final) * 0.5 * (1 + math.cos(math.pi * min(share, 1.0))))
