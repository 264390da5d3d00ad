"""The logits of a classifier: what its last layer puts out, before the softmax makes probabilities of it.

Training does not use this module, so that a change of it makes no stage anew.
"""

import keras
import numpy as np

from thaw.tasks.training.model import LOGITS_NAME


def logits_model(model: keras.Model) -> keras.Model:
    """Make a model of a classifier's layers that gives its logits, float32 (batch, classes)."""
    return keras.Model(model.input, model.get_layer(LOGITS_NAME).output)


def divide_logits(model: keras.Model, temperature: float) -> None:
    """Divide a classifier's logits by a temperature above 0, in the weights of its last layer.

    So whatever is made of the model has the temperature, with nothing to do about it. The order of an image's classes
    stays, except between logits that differ by the rounding of float32.
    """
    if temperature != 1.0:
        layer = model.get_layer(LOGITS_NAME)
        layer.set_weights([(each.astype(np.float64) / temperature).astype(each.dtype) for each in layer.get_weights()])
