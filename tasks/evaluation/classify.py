"""The one pass of a finished model over a split."""

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from thaw.tasks.process import Reporter
from thaw.tasks.records.read import SplitReader
from thaw.tasks.training.pipeline import evaluation_batches
from thaw.tasks.training.stage_facts import StageFacts


def classify(
    model: keras.Model, reader: SplitReader, stage: StageFacts, batch_size: int, reporter: Reporter
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Let the model answer once for every image, in the order of the records.

    Args:
        model: From float32 images in [0, 255] to probabilities.
        reader: The split.
        stage: The stage that the model comes from; it says how images are brought to the model's size.
        batch_size: Images a batch.
        reporter: Takes the progress.

    Returns:
        Labels, int32 (images,), and probabilities, float32 (images, classes).
    """
    batches = evaluation_batches(reader, stage.fit, batch_size=batch_size)
    # One graph for all batches: the signature leaves their size open, and the last one is smaller.
    images_type = tf.TensorSpec((None, stage.fit.resolution, stage.fit.resolution, 3), tf.float32)
    answer = tf.function(lambda images: model(images, training=False), input_signature=[images_type])
    labels = np.empty(reader.examples, np.int32)
    probabilities = np.empty((reader.examples, len(stage.classes)), np.float32)
    done = 0
    for images, batch_labels, indices in batches:
        rows = indices.numpy()
        labels[rows] = batch_labels.numpy()
        probabilities[rows] = answer(images).numpy()
        done += len(rows)
        reporter.progress(done / reader.examples, f"{done:,} of {reader.examples:,} test images")
    return labels, probabilities
