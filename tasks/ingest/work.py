"""The ingest step: from a source to a dataset artifact."""

import functools
from collections.abc import Iterable, Iterator, Sequence

from thaw.tasks.devices import choose_devices
from thaw.tasks.ingest.checks import check_classes, check_counts
from thaw.tasks.ingest.columns import Values, check_values, write_columns
from thaw.tasks.ingest.dataset import DatasetImage, order_of, write_dataset
from thaw.tasks.ingest.duplicates import check_copies, drop_duplicates, find_copies
from thaw.tasks.ingest.known import KnownImages
from thaw.tasks.ingest.scan import ScannedImage, check_unreadable, scan_images
from thaw.tasks.ingest.sources import columns_digest, content_digest, open_source
from thaw.tasks.ingest.sources.base import changed_meanwhile
from thaw.tasks.ingest.splits import SplitPlan, assign_split, plan_splits
from thaw.tasks.ingest.step import DatasetFacts, IngestWork
from thaw.tasks.process import Reporter


def ingest(work: IngestWork, report: Reporter) -> DatasetFacts:
    """Read a source's images, check them, and decide which split each belongs to.

    Raises:
        DatasetError: The source is not fit to train on; the message says what is wrong and what would be right.
    """
    choose_devices("cpu")  # images are decoded there, whatever trains
    config, seed, columns = work.step.dataset, work.step.seed, work.step.columns
    source = open_source(config.source, work.home)
    source.fetch(report)
    classes = source.classes()
    check_classes(classes)
    plan = plan_splits(config.splits, source.splits())
    check_values(source, columns)
    relatives = work.home.store.telling(report.warn).relatives(work.step)
    scanned, unreadable = scan_images(source, config.max_pixels, KnownImages(relatives), report, columns)
    now = content_digest(config.source, work.home), columns_digest(config.source, work.home, columns)
    if now != (work.step.content, work.step.columns_content):
        raise changed_meanwhile()
    check_unreadable(unreadable, len(scanned) + len(unreadable), config.max_bad_fraction, report)
    copies = find_copies(scanned)
    check_copies(copies, config.label_conflicts, report)
    rows = functools.partial(_rows, scanned, classes, plan, seed)  # gone through once for each file that is written
    images = (image for image, _ in rows())
    counts = write_dataset(work.folder, classes, images, duplicates=copies.duplicates, unreadable=unreadable)
    check_counts(counts)
    write_columns(work.folder, columns, ((order_of(image), values) for image, values in rows()))
    return DatasetFacts(
        classes=len(classes),
        examples={split: sum(of_split.values()) for split, of_split in counts.items()},
        duplicates=copies.duplicates,
        in_conflict=copies.in_conflict,
        unreadable=len(unreadable),
    )


def _rows(
    scanned: Iterable[ScannedImage], classes: Sequence[str], plan: SplitPlan, seed: int
) -> Iterator[tuple[DatasetImage, Values]]:
    labels = {name: label for label, name in enumerate(classes)}
    for image in drop_duplicates(scanned):
        row = DatasetImage(
            id=image.id,
            label=labels[image.class_name],
            class_name=image.class_name,
            split=assign_split(plan, image.source_split, image.id, seed),
            width=image.width,
            height=image.height,
            format=image.format,
            bytes=image.bytes,
            origin=image.origin,
            brightness=image.brightness,
        )
        yield row, image.values
