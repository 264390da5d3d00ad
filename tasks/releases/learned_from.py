"""`learned_from.parquet` of a release: which images it was trained or validated on. No TensorFlow.

One column, `id`: the first eight bytes of each image's SHA-256, in order. Among a million images, two share them with a
probability of one in 40 million; then an image is left out of a comparison.
"""

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from thaw.pipeline_config.errors import PublishError

LEARNED_FROM_NAME = "learned_from.parquet"

_BYTES = 8
_SCHEMA = pa.schema([pa.field("id", pa.binary(_BYTES), nullable=False)])


def prefix(image: str) -> bytes:
    """Shorten an image's id, the SHA-256 in hexadecimal."""
    return bytes.fromhex(image[: 2 * _BYTES])


def write_learned_from(folder: Path, images: Iterable[str]) -> None:
    """Write the file; the same ids, in any order, give the same bytes."""
    prefixes = sorted({prefix(image) for image in images})
    pq.write_table(pa.table([prefixes], schema=_SCHEMA), folder / LEARNED_FROM_NAME, compression="zstd")


def read_learned_from(folder: Path) -> set[bytes]:
    """Read the prefixes; the caller has checked the file's digest.

    Raises:
        PublishError: The file is not what this version writes.
    """
    path = folder / LEARNED_FROM_NAME
    try:
        return set(pq.read_table(path, schema=_SCHEMA)["id"].to_pylist())
    except (OSError, pa.ArrowException) as error:
        raise PublishError(f"{path} cannot be read: {error}. Run its recipe again.") from error
