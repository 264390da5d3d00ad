"""The request for a dataset, and what its key is made of."""

from typing import Any, ClassVar

from pydantic import Field

from thaw.pipeline_config.dataset_schema import DatasetConfig, SplitName
from thaw.tasks.artifacts.manifest import ArtifactRef, read_manifest
from thaw.tasks.artifacts.step import Facts, Step
from thaw.tasks.home import Home
from thaw.tasks.process import Work

COLUMNS = "columns.parquet"


class DatasetFacts(Facts):
    """What there is in a dataset, and what was left out."""

    classes: int
    examples: dict[SplitName, int]
    duplicates: int
    in_conflict: int
    unreadable: int


class IngestStep(Step):
    """Make a dataset artifact: `images.parquet`, `dataset.json`, and `columns.parquet` if columns are asked for.

    `seed` decides over the cuts. `content` is the digest of what the source holds, and `columns_content` that of what
    the columns hold, where the other does not cover it.
    """

    kind: ClassVar[str] = "dataset"
    work: ClassVar[str] = "thaw.tasks.ingest.work:ingest"
    facts: ClassVar[type[Facts]] = DatasetFacts
    libraries: ClassVar[tuple[str, ...]] = ("pillow", "pyarrow", "scikit-learn", "tensorflow")
    rows_of: ClassVar[tuple[str, ...]] = ("content", "columns", "columns_content")

    dataset: DatasetConfig
    seed: int
    content: str
    columns: list[str] = Field(default=[], description="of the source's table, to part the test images by")
    columns_content: str = ""

    def depends_on(self) -> dict[str, Any]:
        """All fields, but the content of the source in place of where it is, and columns only if there are any."""
        document = super().depends_on()
        for field in ("columns", "columns_content"):
            if not document[field]:
                del document[field]
        for field in self.dataset.source.not_in_key:
            del document["dataset"]["source"][field]
        return document


class IngestWork(Work):
    """What the child process gets."""

    step: IngestStep


def digest_without_columns(home: Home, dataset: ArtifactRef) -> str:
    """Name a dataset which the store has by its other files: as the same images are named if no columns are kept."""
    manifest = read_manifest(home.store.folder(dataset))
    others = {name: entry for name, entry in manifest.files.items() if name != COLUMNS}
    return manifest.model_copy(update={"files": others}).ref.digest
