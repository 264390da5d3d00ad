"""The exponential moving average of a stage's weights, kept beside the weights themselves."""

from collections.abc import Iterator, Sequence

import keras
import numpy as np
import tensorflow as tf

_STEADY_AFTER = 10.0  # steps: until then, about, the average is of all steps so far, as in tf.train


class WeightAverage:
    """Averages over the steps, one for each variable that changes. The variables themselves go on as without it."""

    def __init__(self, variables: Sequence[keras.Variable], decay: float) -> None:
        """Start with the variables' values; `decay`, between 0 and 1, is the share that is kept at each step."""
        self._decay = decay
        self._sources = list(variables)
        self.variables = [
            keras.Variable(
                keras.ops.convert_to_numpy(variable), trainable=False, dtype=variable.dtype, name=f"average_{position}"
            )
            for position, variable in enumerate(variables)
        ]

    def update(self, step: tf.Tensor) -> None:
        """Take the variables' values after a step (int32, from 0) into account.

        The decay rises to its value from 0.1, so that random weights of the beginning are soon forgotten; it is a
        function of the step, and so needs no memory.
        """
        number = tf.cast(step, tf.float32)
        kept = tf.minimum(self._decay, (1.0 + number) / (_STEADY_AFTER + number))
        for average, source in zip(self.variables, self._sources, strict=True):
            average.assign(average.value + (1.0 - kept) * (source.value - average.value))

    def scope(self) -> keras.StatelessScope:
        """Make a context in which a model computes with the averages in place of its variables."""
        pairs = zip(self._sources, self.variables, strict=True)
        return keras.StatelessScope(state_mapping=[(source, average.value) for source, average in pairs])

    def weights_of(self, model: keras.Model) -> list[np.ndarray]:
        """Get what `model.get_weights()` would return if the variables had the averages' values."""
        averages = {id(source): average for source, average in zip(self._sources, self.variables, strict=True)}
        return [keras.ops.convert_to_numpy(averages.get(id(weight), weight)) for weight in model.weights]


def averaged_variables(model: keras.Model, learning: Sequence[keras.Variable]) -> list[keras.Variable]:
    """Find what changes in a thawed model while it trains, besides random states: what learns, and what adapts."""
    return [*learning, *adapting_statistics(model)]


def adapting_statistics(model: keras.Model) -> list[keras.Variable]:
    """Find the moving mean and variance of each layer of a thawed model that normalizes with the batch."""
    norms = [layer for layer in _layers_of(model) if isinstance(layer, keras.layers.BatchNormalization)]
    return [variable for layer in norms if layer.trainable for variable in (layer.moving_mean, layer.moving_variance)]


def _layers_of(model: keras.Model) -> Iterator[keras.Layer]:
    for layer in model.layers:
        yield from _layers_of(layer) if isinstance(layer, keras.Model) else (layer,)
