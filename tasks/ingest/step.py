"""The request for a dataset, and what its key is made of."""

from typing import Any, ClassVar

from thaw.pipeline_config.dataset_schema import DatasetConfig
from thaw.tasks.artifacts.step import Step
from thaw.tasks.process import Work


class IngestStep(Step):
    """Make a dataset artifact: `manifest.parquet` and `dataset.json`.

    Attributes:
        dataset: The recipe's `dataset`.
        seed: The recipe's seed, which the cuts depend on.
        content: Digest of what the source holds, from `thaw.tasks.ingest.sources.content_digest`.
    """

    kind: ClassVar[str] = "dataset"
    work: ClassVar[str] = "thaw.tasks.ingest.work:ingest"
    libraries: ClassVar[tuple[str, ...]] = ("pillow", "pyarrow", "scikit-learn", "tensorflow")
    shares_process: ClassVar[bool] = True

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
