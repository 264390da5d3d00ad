"""Classify image files with a release. Runs in a child process, because it loads TensorFlow."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from thaw.pipeline_config.dataset_schema import DatasetConfig
from thaw.pipeline_config.errors import DatasetError
from thaw.tasks.ingest.images import BadImageError, inspect, normalise
from thaw.tasks.process import Reporter
from thaw.tasks.publishing.export import ENDPOINT, INPUT_NAME, crop_of
from thaw.tasks.publishing.predict_request import PredictWork
from thaw.tasks.releases.checksums import verify_checksums
from thaw.tasks.releases.release import KERAS_NAME, SAVED_MODEL_NAME, ModelInput, read_release
from thaw.tasks.training.images import decode, fit

# From the contents of image files to float32 probabilities (batch, classes).
Scorer = Callable[[Sequence[bytes]], NDArray[np.float32]]

_BATCH_SIZE = 32  # images decoded at once: 50 megapixels each at the most
_MAX_PIXELS: int = DatasetConfig.model_fields["max_pixels"].default


def predict(work: PredictWork, report: Reporter) -> dict[str, Any]:
    """Classify image files.

    Args:
        work: The request.
        report: Gets the progress.

    Returns:
        Under "predictions", for each path in the order of the request: "path", "class", its "probability", and the
        "probabilities" of all classes by name.

    Raises:
        PublishError: The release is damaged. It is not loaded then, because loading a model may run code.
        DatasetError: A file cannot be read or is not an image; the message names it.
    """
    verify_checksums(work.release)
    release = read_release(work.release)
    score = _load(work.release, release.input)
    predictions: list[dict[str, Any]] = []
    for start in range(0, len(work.paths), _BATCH_SIZE):
        paths = work.paths[start : start + _BATCH_SIZE]
        probabilities = score([_read_image(path) for path in paths])
        for path, row in zip(paths, probabilities.tolist(), strict=True):
            best = int(np.argmax(row))
            predictions.append(
                {
                    "path": str(path),
                    "class": release.classes[best],
                    "probability": row[best],
                    "probabilities": dict(zip(release.classes, row, strict=True)),
                }
            )
        report.progress(len(predictions) / len(work.paths), f"{len(predictions)} of {len(work.paths)} images")
    return {"predictions": predictions}


def _load(folder: Path, model_input: ModelInput) -> Scorer:
    if (folder / SAVED_MODEL_NAME).is_dir():
        loaded = tf.saved_model.load(str(folder / SAVED_MODEL_NAME))

        def score_with_saved_model(images: Sequence[bytes]) -> NDArray[np.float32]:
            # Through `loaded`, which owns the variables, and must live as long as they are used.
            answer = loaded.signatures[ENDPOINT](**{INPUT_NAME: tf.constant(images)})
            probabilities: NDArray[np.float32] = answer["probability"].numpy()
            return probabilities

        return score_with_saved_model
    model = keras.saving.load_model(folder / KERAS_NAME, compile=False, safe_mode=True)
    center_crop = crop_of(model_input)

    def score_with_keras(images: Sequence[bytes]) -> NDArray[np.float32]:
        pixels = tf.stack([fit(decode(image), model_input.resolution, center_crop) for image in images])
        probabilities: NDArray[np.float32] = model(pixels, training=False).numpy()
        return probabilities

    return score_with_keras


def _read_image(path: Path) -> bytes:
    try:
        encoded = path.read_bytes()
        inspect(encoded, _MAX_PIXELS)
        return normalise(encoded)
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror or error}. Expected an image file.") from error
    except BadImageError as error:
        raise DatasetError(f"{path}: {error}. Expected a whole JPEG, PNG, BMP, GIF or WebP file.") from error
