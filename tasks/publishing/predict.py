"""Classify image files with a release. Runs in a child process, because it loads TensorFlow."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from thaw.pipeline_config.errors import DatasetError
from thaw.pipeline_config.preprocessing import Preprocessing
from thaw.tasks.devices import choose_devices
from thaw.tasks.formats.base import ModelContext, Scorer
from thaw.tasks.formats.members import as_input, load_first
from thaw.tasks.pictures.files import inspect
from thaw.tasks.pictures.opening import BadImageError
from thaw.tasks.process import Reporter
from thaw.tasks.publishing.predict_request import PredictWork
from thaw.tasks.releases.checksums import verify_checksums
from thaw.tasks.releases.release import read_release

Result = TypeVar("Result")

_BATCH_SIZE = 32  # images decoded at once: 50 megapixels each at the most


def predict(work: PredictWork, report: Reporter) -> dict[str, Any]:
    """Classify image files.

    Under "predictions", it gives for each path in the order of the request: "path", "class", its "probability", and
    the "probabilities" of all classes by name; "unsure" says whether it does not count, None where all count.

    Raises:
        PublishError: The release is damaged. It is not loaded then, because loading a model may run code.
        RequestError: What the release's formats need is not installed.
        DatasetError: A file cannot be read or is not an image; the message names it.
    """
    choose_devices(work.devices, required=False)
    verify_checksums(work.release)
    release = read_release(work.release)
    score = load_first(work.release, ModelContext.of(release))
    predictions: list[dict[str, Any]] = []
    for start in range(0, len(work.paths), _BATCH_SIZE):
        paths = work.paths[start : start + _BATCH_SIZE]
        probabilities = _score(score, paths, release.input)
        for path, row in zip(paths, probabilities.tolist(), strict=True):
            best = int(np.argmax(row))
            predictions.append(
                {
                    "path": str(path),
                    "class": release.classes[best],
                    "probability": row[best],
                    "unsure": None if release.abstain is None else release.abstain.is_unsure(row[best]),
                    "probabilities": dict(zip(release.classes, row, strict=True)),
                }
            )
        report.progress(len(predictions) / len(work.paths), f"{len(predictions)} of {len(work.paths)} images")
    return {"predictions": predictions}


def _score(score: Scorer, paths: Sequence[Path], how: Preprocessing) -> NDArray[np.float32]:
    images = [_used(path, lambda encoded: as_input(encoded, how)) for path in paths]
    try:
        return score(images)
    except tf.errors.InvalidArgumentError:  # an image that is not whole, which the batch does not name
        for path in paths:
            _used(path, lambda encoded: inspect(encoded, how.max_pixels))
        raise


def _used(path: Path, use: Callable[[bytes], Result]) -> Result:
    try:
        return use(path.read_bytes())
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror or error}. Expected an image file.") from error
    except BadImageError as error:
        raise DatasetError(f"{path}: {error}. Expected a whole JPEG, PNG, BMP, GIF or WebP file.") from error
