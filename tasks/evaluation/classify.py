"""One pass of a finished model over a split, and the predictions table of it."""

import keras
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import tensorflow as tf

from thaw.tasks.evaluation.examples import read_example
from thaw.tasks.evaluation.predictions import predictions_table
from thaw.tasks.process import Reporter
from thaw.tasks.records.read import SplitReader
from thaw.tasks.training.pipeline import evaluation_batches
from thaw.tasks.training.stage_facts import StageFacts


def predict(
    model: keras.Model, reader: SplitReader, stage: StageFacts, batch_size: int, reporter: Reporter
) -> pa.Table:
    """Let the model answer as `classify` does, and put the answers beside the truth: a predictions table."""
    labels, probabilities = classify(model, reader, stage, batch_size, reporter)
    ids = [read_example(reader, index).id for index in range(reader.examples)]
    return predictions_table(ids, labels, probabilities, reader.classes)


def classify(
    model: keras.Model, reader: SplitReader, stage: StageFacts, batch_size: int, reporter: Reporter
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Let the model answer once for every image, in the order of the records.

    The model takes float32 images in [0, 255]; `stage` says how they are brought to its size. Gives labels, int32
    (images,), and probabilities, float32 (images, classes).
    """
    # One graph for all batches: the signature leaves their size open, and the last one is smaller.
    images_type = tf.TensorSpec((None, stage.fit.resolution, stage.fit.resolution, 3), tf.float32)
    answer = tf.function(lambda images: model(images, training=False), input_signature=[images_type])
    labels = np.empty(reader.examples, np.int32)
    probabilities = np.empty((reader.examples, len(stage.classes)), np.float32)
    done = 0
    for images, batch_labels, indices in evaluation_batches(reader, stage.fit, batch_size=batch_size):
        rows = indices.numpy()
        labels[rows] = batch_labels.numpy()
        probabilities[rows] = answer(images).numpy()
        done += len(rows)
        reporter.progress(done / reader.examples, f"{done:,} of {reader.examples:,} images")
    return labels, probabilities
