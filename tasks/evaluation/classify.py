"""One pass of a finished model over a split, and the predictions table of it."""

from collections.abc import Callable

import keras
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import tensorflow as tf

from thaw.pipeline_config.preprocessing import Fit
from thaw.tasks.evaluation.examples import read_example
from thaw.tasks.evaluation.predictions import predictions_table
from thaw.tasks.records.read import SplitReader
from thaw.tasks.training.devices import infer_in_order
from thaw.tasks.training.pipeline import evaluation_batches

Answer = Callable[[tf.Tensor], tf.Tensor]


def answering(model: keras.Model) -> Answer:
    """Compile what a model answers for float32 images in [0, 255], (batch, resolution, resolution, 3).

    It follows the model's weights where they change.
    """
    # One graph for all batches: the signature leaves their size open, and the last one is smaller.
    images_type = tf.TensorSpec(model.input_shape, tf.float32)
    answer = tf.function(lambda images: model(images, training=False), input_signature=[images_type])
    answer.get_concrete_function()  # is traced here, and not in the thread that first calls it
    function: Answer = answer
    return function


def predict(answer: Answer, reader: SplitReader, how: Fit, batch_size: int, advance: Callable[[int], None]) -> pa.Table:
    """Let a model answer as `classify` does, and put the answers beside the truth: a predictions table."""
    labels, probabilities = classify(answer, reader, how, batch_size, advance)
    ids = [read_example(reader, index).id for index in range(reader.examples)]
    return predictions_table(ids, labels, probabilities, reader.classes)


def classify(
    answer: Answer, reader: SplitReader, how: Fit, batch_size: int, advance: Callable[[int], None]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Let a model answer once for every image, in the order of the records.

    `how` says how images are brought to its size, and `advance` is told how many more have their answer. Gives labels,
    int32 (images,), and what it answers, float32 (images, classes).
    """

    def infer(batch: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> tuple[npt.NDArray[np.float32], ...]:
        images, labels, indices = batch
        return answer(images).numpy(), labels.numpy(), indices.numpy()

    labels = np.empty(reader.examples, np.int32)
    answers = np.empty((reader.examples, len(reader.classes)), np.float32)
    for of_batch, batch_labels, rows in infer_in_order(infer, evaluation_batches(reader, how, batch_size=batch_size)):
        labels[rows], answers[rows] = batch_labels, of_batch
        advance(len(rows))
    return labels, answers
