"""The request for TFRecord shards, and what its key is made of."""

from typing import Any, ClassVar

from pydantic import Field

from thaw.pipeline_config.dataset_schema import RecordsConfig, Source, SplitName
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.artifacts.step import Facts, Step
from thaw.tasks.process import Work


class RecordsFacts(Facts):
    """What was written, by split."""

    examples: dict[SplitName, int]
    shards: dict[SplitName, int]
    bytes: dict[SplitName, int]


class RecordsStep(Step):
    """Make a records artifact: `index.json`, `records-<split>.npy` and `<split>-<shard>-of-<shards>.tfrecord`.

    An image's record is taken over from earlier records that have it. The others are read again from the source; each
    must still have the id that the dataset's manifest gives it.
    """

    kind: ClassVar[str] = "records"
    work: ClassVar[str] = "thaw.tasks.records.work:write_records"
    facts: ClassVar[type[Facts]] = RecordsFacts
    libraries: ClassVar[tuple[str, ...]] = ("pillow", "tensorflow")
    rows_of: ClassVar[tuple[str, ...]] = ("dataset",)

    dataset: ArtifactRef
    images: str | None = Field(default=None, description="digest of the dataset without its columns, if it has any")
    source: Source
    records: RecordsConfig

    def depends_on(self) -> dict[str, Any]:
        """The images and the settings; where they are read from, and what columns say of them, makes no difference."""
        document = super().depends_on()
        del document["source"]
        document["dataset"]["digest"] = document.pop("images") or self.dataset.digest
        return document


class RecordsWork(Work):
    """What the child process gets."""

    step: RecordsStep
