"""The ingest step: from a source to a dataset artifact."""

from thaw.pipeline_config.dataset_schema import SplitName
from thaw.pipeline_config.errors import DatasetError
from thaw.tasks.devices import choose_devices
from thaw.tasks.ingest.checks import check_classes, check_counts
from thaw.tasks.ingest.columns import read_values, write_columns
from thaw.tasks.ingest.dataset import Dataset, DatasetImage, count_images, write_dataset
from thaw.tasks.ingest.duplicates import check_conflicts, drop_duplicates
from thaw.tasks.ingest.scan import ScannedImage, check_unreadable, facts_of_images, scan_images
from thaw.tasks.ingest.sources import columns_digest, content_digest, open_source
from thaw.tasks.ingest.splits import assign_split, plan_splits
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
    values = read_values(source, columns)
    relatives = work.home.store.telling(report.warn).relatives(work.step)
    scanned, unreadable = scan_images(source, config.max_pixels, facts_of_images(relatives), report)
    now = content_digest(config.source, work.home), columns_digest(config.source, work.home, columns)
    if now != (work.step.content, work.step.columns_content):
        raise DatasetError(
            "The images changed while they were being read. Expected the same files throughout. Run again."
        )
    check_unreadable(unreadable, len(scanned) + len(unreadable), config.max_bad_fraction, report)
    unique, conflicts = drop_duplicates(scanned)
    check_conflicts(conflicts, config.label_conflicts, report)
    in_conflict = sum(len(group) for group in conflicts)
    duplicates = len(scanned) - in_conflict - len(unique)
    if duplicates:
        files = "1 file has" if duplicates == 1 else f"{duplicates} files have"
        report.warn(f"{files} the same content as another and count once.")
    labels = {name: label for label, name in enumerate(classes)}
    images = [_row(image, labels, assign_split(plan, image.source_split, image.id, seed)) for image in unique]
    counts = count_images(classes, images)
    check_counts(counts)
    write_dataset(work.folder, Dataset(list(classes), images), duplicates=duplicates, unreadable=unreadable)
    write_columns(work.folder, columns, values)
    return DatasetFacts(
        classes=len(classes),
        examples={split: sum(of_split.values()) for split, of_split in counts.items()},
        duplicates=duplicates,
        in_conflict=in_conflict,
        unreadable=len(unreadable),
    )


def _row(image: ScannedImage, labels: dict[str, int], split: SplitName) -> DatasetImage:
    return DatasetImage(
        id=image.id,
        label=labels[image.class_name],
        class_name=image.class_name,
        split=split,
        width=image.facts.width,
        height=image.facts.height,
        format=image.facts.format,
        bytes=image.bytes,
        origin=image.origin,
        brightness=image.facts.brightness,
    )
