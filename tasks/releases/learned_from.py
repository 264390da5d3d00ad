"""`learned_from.parquet` of a release: which images it was trained or validated on. No TensorFlow.

A row for each image, in the order of `id`, the first eight bytes of the image's SHA-256, and what a comparison with
later images needs: its class by its number, its split, its size in pixels and its brightness, 0 to 255. Among a million
images, two share their `id` with a probability of one in 40 million; then an image is left out of a comparison.

A release of an earlier thaw has `id` alone.
"""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from thaw.pipeline_config.errors import PublishError

LEARNED_FROM_NAME = "learned_from.parquet"

_BYTES = 8
_ID = pa.field("id", pa.binary(_BYTES), nullable=False)
_KNOWN = [
    pa.field("label", pa.int32(), nullable=False),
    pa.field("split", pa.string(), nullable=False),
    pa.field("width", pa.int32(), nullable=False),
    pa.field("height", pa.int32(), nullable=False),
    pa.field("brightness", pa.float32(), nullable=False),
]
COLUMNS = ["id", *(field.name for field in _KNOWN)]


def prefix(image: str) -> bytes:
    """Shorten an image's id, the SHA-256 in hexadecimal."""
    return bytes.fromhex(image[: 2 * _BYTES])


def write_learned_from(folder: Path, images: pa.Table) -> None:
    """Write the file, from a table with `COLUMNS` and whole ids; the same rows, in any order, give the same bytes."""
    prefixes = pa.array([prefix(image) for image in images["id"].to_pylist()], _ID.type)
    table = images.set_column(images.schema.get_field_index("id"), _ID, prefixes).select(COLUMNS)
    table = table.cast(pa.schema([_ID, *_KNOWN])).take(pc.array_sort_indices(prefixes))
    pq.write_table(table, folder / LEARNED_FROM_NAME, compression="zstd")


def read_learned_from(folder: Path) -> set[bytes]:
    """Read the prefixes; the caller has checked the file's digest.

    Raises:
        PublishError: The file is not what this version writes.
    """
    return set(_read(folder, pa.schema([_ID]))["id"].to_pylist())


def read_learned_images(folder: Path) -> pa.Table:
    """Read all that is known of the images, in the same way: `COLUMNS`, of an earlier thaw's release `id` alone."""
    return _read(folder, None)


def _read(folder: Path, schema: pa.Schema | None) -> pa.Table:
    path = folder / LEARNED_FROM_NAME
    try:
        return pq.read_table(path, schema=schema)
    except (OSError, pa.ArrowException) as error:
        raise PublishError(f"{path} cannot be read: {error}. Run its recipe again.") from error
