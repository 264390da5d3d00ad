"""Classify image files with a release. Runs in a child process, because it loads TensorFlow."""

from pathlib import Path
from typing import Any

import numpy as np

from thaw.pipeline_config.dataset_schema import DatasetConfig
from thaw.pipeline_config.errors import DatasetError
from thaw.tasks.ingest.images import BadImageError, inspect, normalise
from thaw.tasks.process import Reporter
from thaw.tasks.publishing.formats.base import ModelContext
from thaw.tasks.publishing.formats.members import load_first
from thaw.tasks.publishing.predict_request import PredictWork
from thaw.tasks.releases.checksums import verify_checksums
from thaw.tasks.releases.release import read_release

_BATCH_SIZE = 32  # images decoded at once: 50 megapixels each at the most
_MAX_PIXELS: int = DatasetConfig.model_fields["max_pixels"].default


def predict(work: PredictWork, report: Reporter) -> dict[str, Any]:
    """Classify image files.

    Returns:
        Under "predictions", for each path in the order of the request: "path", "class", its "probability", and the
        "probabilities" of all classes by name.

    Raises:
        PublishError: The release is damaged. It is not loaded then, because loading a model may run code.
        RequestError: What the release's formats need is not installed.
        DatasetError: A file cannot be read or is not an image; the message names it.
    """
    verify_checksums(work.release)
    release = read_release(work.release)
    score = load_first(work.release, ModelContext.of(release))
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


def _read_image(path: Path) -> bytes:
    try:
        encoded = path.read_bytes()
        inspect(encoded, _MAX_PIXELS)
        return normalise(encoded)
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror or error}. Expected an image file.") from error
    except BadImageError as error:
        raise DatasetError(f"{path}: {error}. Expected a whole JPEG, PNG, BMP, GIF or WebP file.") from error
