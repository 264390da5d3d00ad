"""BatchNormalization folded into the convolution before it, where its statistics stand still.

A layer that normalizes with its moving statistics multiplies each channel by a number and adds another. The first can
be multiplied into the kernel of the convolution before it, and what is left to add TensorFlow computes together with
the convolution and its activation. It is the same function of the same variables, and so are its gradients, those of
gamma and beta among them; what is kept of a model knows nothing of it.
"""

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager

import keras
import tensorflow as tf
from keras import layers

from thaw.tasks.training.averaging import adapting_statistics

_Pair = tuple[layers.Conv2D | layers.DepthwiseConv2D, layers.BatchNormalization]


class Folding:
    """Computes with folded layers, wherever a model has some whose statistics stand still."""

    def __init__(self, model: keras.Model) -> None:
        """Find them.

        Args:
            model: Its BatchNormalization layers are set to what the stage asks for.
        """
        # In a StatelessScope no layer can change a variable, so where some adapt, nothing is folded.
        self._pairs = [] if adapting_statistics(model) else list(_pairs(model))

    def scope(self) -> AbstractContextManager[object]:
        """Let the model compute so; gradients flow through it, if it is made where they are recorded.

        Returns:
            A context for one call of the model. What layers assign inside, such as dropout its state, is forgotten.
        """
        if not self._pairs:
            return contextlib.nullcontext()
        mapping = [entry for pair in self._pairs for entry in _folded(*pair)]
        scope: AbstractContextManager[object] = keras.StatelessScope(state_mapping=mapping)
        return scope


def _pairs(model: keras.Model) -> Iterator[_Pair]:
    inside = {id(layer) for layer in model._flatten_layers()}
    for norm in model._flatten_layers():
        if isinstance(norm, layers.BatchNormalization) and norm.scale and norm.center:
            (tensor,) = norm._inbound_nodes[0].input_tensors
            convolution = tensor._keras_history.operation
            if id(convolution) in inside and _can_take(convolution, norm):
                yield convolution, norm


def _can_take(layer: keras.Layer, norm: layers.BatchNormalization) -> bool:
    if not isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D):
        return False
    used_by = {id(node.operation) for node in layer._outbound_nodes}
    return used_by == {id(norm)} and not layer.use_bias and layer.activation is keras.activations.linear


def _folded(convolution: layers.Layer, norm: layers.BatchNormalization) -> Iterator[tuple[keras.Variable, tf.Tensor]]:
    """Give the values with which both layers together do what they did."""
    factor = norm.gamma.value * tf.math.rsqrt(norm.moving_variance.value + norm.epsilon)
    kernel = convolution.kernel.value
    # A kernel's last axis is the channels that come out; of a depthwise one, the last two together.
    per_channel = tf.reshape(factor, kernel.shape[2:]) if isinstance(convolution, layers.DepthwiseConv2D) else factor
    yield convolution.kernel, kernel * tf.cast(per_channel, kernel.dtype)
    yield norm.beta, norm.beta.value - norm.moving_mean.value * factor
    # Constants with which it multiplies by one and subtracts nothing, so that TensorFlow leaves both out.
    shape, dtype = norm.gamma.shape, norm.gamma.dtype
    yield norm.gamma, tf.ones(shape, dtype)
    yield norm.moving_mean, tf.zeros(shape, dtype)
    yield norm.moving_variance, tf.ones(shape, dtype) - tf.constant(norm.epsilon, dtype)
