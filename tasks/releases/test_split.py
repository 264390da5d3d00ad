"""On which images a release was tested, and the name of such a set of images. No TensorFlow."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from thaw.pipeline_config.errors import PublishError
from thaw.tasks.releases.checksums import read_checksums, verify_file

PREDICTIONS_NAME = "predictions.parquet"


def tested_on(folder: Path) -> list[str]:
    """Read the ids of the images that a release was tested on; raises PublishError where that file is damaged."""
    return list(tested_classes(folder))


def tested_classes(folder: Path) -> dict[str, str]:
    """Read the classes of the images that a release was tested on, by their ids, in the same way."""
    path = folder / PREDICTIONS_NAME
    verify_file(folder, PREDICTIONS_NAME, read_checksums(folder))
    try:
        table = pq.read_table(path, columns=["id", "class_name"])
        return dict(zip(table["id"].to_pylist(), table["class_name"].to_pylist(), strict=True))
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise PublishError(f"{path} cannot be read: {error}. Run its recipe again.") from error


def name_of_split(images: Iterable[str]) -> str:
    """Name a set of images, whatever their order: the SHA-256 of their sorted ids, in hexadecimal."""
    return hashlib.sha256("\n".join(sorted(images)).encode()).hexdigest()
