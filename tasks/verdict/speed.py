"""How long a model takes for an image. TensorFlow; runs in a child process."""

import time
from pathlib import Path
from statistics import median

import tensorflow as tf

from thaw.tasks.training.stage_artifact import load_classifier

_UNTIMED, _TIMED = 5, 50


def milliseconds_an_image(stage: Path) -> float:
    """Measure how long the model of a stage's folder, checked, takes for an image alone: from its pixels to the answer.

    In milliseconds, the median of 50 calls of one graph, on the devices that are chosen; an image's decoding is not in
    it.
    """
    model = load_classifier(stage)
    pixels = tf.zeros((1, *model.input_shape[1:]), tf.float32)
    answer = tf.function(lambda images: model(images, training=False))
    seconds = []
    for _ in range(_UNTIMED + _TIMED):
        begun = time.perf_counter()
        answer(pixels).numpy()
        seconds.append(time.perf_counter() - begun)
    return median(seconds[_UNTIMED:]) * 1000
