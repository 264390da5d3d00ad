"""The request for a dataset, and what its key is made of."""

from typing import Any, ClassVar

from thaw.pipeline_config.dataset_schema import DatasetConfig, SplitName
from thaw.tasks.artifacts.step import Facts, Step
from thaw.tasks.process import Work


class DatasetFacts(Facts):
    """What there is in a dataset, and what was left out."""

    classes: int
    examples: dict[SplitName, int]
    duplicates: int
    in_conflict: int
    unreadable: int


class IngestStep(Step):
    """Make a dataset artifact: `images.parquet` and `dataset.json`.

    `seed` decides over the cuts, and `content` is the digest of what the source holds.
    """

    kind: ClassVar[str] = "dataset"
    work: ClassVar[str] = "thaw.tasks.ingest.work:ingest"
    facts: ClassVar[type[Facts]] = DatasetFacts
    libraries: ClassVar[tuple[str, ...]] = ("pillow", "pyarrow", "scikit-learn", "tensorflow")

    dataset: DatasetConfig
    seed: int
    content: str

    def depends_on(self) -> dict[str, Any]:
        """All fields, but the content of the source in place of where it is."""
        document = super().depends_on()
        for field in self.dataset.source.not_in_key:
            del document["dataset"]["source"][field]
        return document


class IngestWork(Work):
    """What the child process gets."""

    step: IngestStep
