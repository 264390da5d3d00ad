"""Where the test images came from: the names of their files, from the dataset's manifest. No TensorFlow."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from thaw.pipeline_config.errors import ArtifactError
from thaw.tasks.ingest.dataset import IMAGES


def read_origins(dataset: Path) -> dict[str, str]:
    """Read the origin of each test image by its id, from a dataset artifact that the store has checked.

    Raises:
        ArtifactError: The table is not what this version writes.
    """
    path = dataset / IMAGES
    try:
        table = pq.read_table(path, columns=["id", "origin"], filters=[("split", "==", "test")])
    except (OSError, ValueError, pa.ArrowException) as error:
        raise ArtifactError(f"{path} cannot be read: {error}. Run again to rebuild it.") from error
    return dict(zip(table["id"].to_pylist(), table["origin"].to_pylist(), strict=True))


def with_origins(table: pa.Table, origins: dict[str, str]) -> pa.Table:
    """Add a column `origin` (string) behind that of the ids."""
    names = pa.array([origins[image] for image in table["id"].to_pylist()], pa.string())
    return table.add_column(1, "origin", names)
