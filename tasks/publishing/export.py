"""A trained model in the formats of a release. TensorFlow and Keras."""

from collections.abc import Sequence
from pathlib import Path

import keras
import tensorflow as tf

from thaw.pipeline_config.augment_schema import CenterCrop
from thaw.tasks.releases.release import ModelInput
from thaw.tasks.training.images import decode, fit

INPUT_NAME = "image_bytes"
ENDPOINT = "serving_default"  # the name that TensorFlow Serving, and everyone else, looks for


def export_keras(model: keras.Model, path: Path) -> None:
    """Write a model as one Keras file.

    Args:
        model: From float32 images (batch, resolution, resolution, 3) in [0, 255] to float32 probabilities
            (batch, classes).
        path: The file, whose name ends in .keras.
    """
    model.save(path)


def export_saved_model(model: keras.Model, path: Path, classes: Sequence[str], model_input: ModelInput) -> None:
    """Write a model as a SavedModel that takes encoded images and names their classes, for TensorFlow alone.

    Its `serving_default` takes `image_bytes`, string (batch,), the contents of JPEG, PNG, BMP or GIF files, and gives
    `class_name`, string (batch,), `class_index`, int32 (batch,), and `probability`, float32 (batch, classes).

    Args:
        model: From float32 images (batch, resolution, resolution, 3) in [0, 255] to float32 probabilities
            (batch, classes).
        path: The folder to write.
        classes: Class names, in the order of the model's outputs.
        model_input: The size that images are brought to, and the crop before.
    """
    resolution = model_input.resolution
    names = tf.constant(list(classes))
    pixels = tf.TensorSpec([resolution, resolution, 3], tf.float32)
    center_crop = crop_of(model_input)

    def classify(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        images = tf.map_fn(
            lambda encoded: fit(decode(encoded), resolution, center_crop), image_bytes, fn_output_signature=pixels
        )
        probability = model(images, training=False)
        index = tf.argmax(probability, axis=-1, output_type=tf.int32)
        return {"class_name": tf.gather(names, index), "class_index": index, "probability": probability}

    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(ENDPOINT, classify, [tf.TensorSpec([None], tf.string, name=INPUT_NAME)])
    archive.write_out(str(path), verbose=False)


def crop_of(model_input: ModelInput) -> CenterCrop | None:
    """Turn the crop of `release.json` into the form that preprocessing takes.

    Args:
        model_input: What the model expects.

    Returns:
        The crop, if there is one.
    """
    if model_input.center_crop is None:
        return None
    return CenterCrop(name="center_crop", fraction=model_input.center_crop)
