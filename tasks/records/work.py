"""The records step: from a dataset artifact to TFRecord shards."""

import contextlib
import os
from concurrent.futures import ThreadPoolExecutor

from thaw.pipeline_config.dataset_schema import SPLITS
from thaw.tasks.artifacts.store import write_json
from thaw.tasks.devices import choose_devices
from thaw.tasks.ingest.dataset import read_dataset
from thaw.tasks.ingest.sources import open_source
from thaw.tasks.pace import ProgressCounter
from thaw.tasks.process import Reporter
from thaw.tasks.records.earlier import EarlierRecords
from thaw.tasks.records.index import INDEX, RecordsIndex
from thaw.tasks.records.step import RecordsFacts, RecordsWork
from thaw.tasks.records.write import ShardWriter


def write_records(work: RecordsWork, report: Reporter) -> RecordsFacts:
    """Write every image of a dataset into a shard of its split: read again, or as earlier records have it.

    Raises:
        DatasetError: An image is no longer what it was when it was ingested.
        ArtifactError: The dataset is damaged, or a shard cannot be written.
    """
    choose_devices("cpu")  # images are decoded there, whatever trains
    dataset = read_dataset(work.home.store.verified(work.step.dataset))
    source = open_source(work.step.source, work.home)
    source.fetch(report)  # it may be gone since it was ingested
    progress = ProgressCounter(report, len(dataset.images), "images written")
    of_split = {split: [image for image in dataset.images if image.split == split] for split in SPLITS}
    relatives = work.home.store.telling(report.warn).relatives(work.step)
    with (
        contextlib.closing(EarlierRecords(relatives, dataset.images)) as earlier,
        ThreadPoolExecutor(os.cpu_count()) as threads,
    ):
        if len(earlier):
            report.log(f"{len(earlier):,} of {len(dataset.images):,} images are taken over from earlier records.")
        writer = ShardWriter(source, work.step.records, work.folder, earlier.payload, progress.advance)
        index = RecordsIndex(
            classes=dataset.classes,
            splits={
                split: writer.write_split(threads, split, images, len(dataset.classes))
                for split, images in of_split.items()
            },
        )
    write_json(work.folder / INDEX, index.model_dump())
    return RecordsFacts(
        examples={split: written.examples for split, written in index.splits.items()},
        shards={split: len(written.shards) for split, written in index.splits.items()},
        bytes={split: sum(shard.bytes for shard in written.shards) for split, written in index.splits.items()},
    )
