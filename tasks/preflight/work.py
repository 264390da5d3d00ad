"""Look at a dataset before anything is trained. No TensorFlow; runs in a child process."""

import pyarrow.parquet as pq

from thaw.tasks.artifacts.refusals import writing
from thaw.tasks.artifacts.store import write_json
from thaw.tasks.home import Home
from thaw.tasks.ingest.dataset import Dataset, count_images, read_dataset
from thaw.tasks.ingest.step import DatasetFacts
from thaw.tasks.preflight.changes import CHANGES_NAME, added_images, compare
from thaw.tasks.preflight.checks.base import Seen
from thaw.tasks.preflight.checks.members import check
from thaw.tasks.preflight.drift import FEWEST_IMAGES, drift_of, level_of_each
from thaw.tasks.preflight.known import KnownImages, read_known
from thaw.tasks.preflight.step import PreflightStep, PreflightTarget, PreflightWork
from thaw.tasks.process import Reporter
from thaw.tasks.releases.preflight import PREFLIGHT_NAME, Changes, Drift, PreflightFacts


def look(work: PreflightWork, report: Reporter) -> list[PreflightFacts]:
    """Say what changed since the champion, and what a user should know of the images.

    Raises:
        DatasetError: A check found what stops the run.
        ArtifactError: The dataset is damaged.
        PublishError: The champion is missing or damaged.
    """
    store = work.home.store
    dataset = read_dataset(store.verified(work.step.dataset))
    facts = store.facts(work.step.dataset, DatasetFacts)
    made = [_look(work.home, target, dataset, facts) for target in work.targets]
    first = made[0]
    if first.changes is not None:
        report.log(f"the images since {first.champion}: {first.changes.sentence}")
    for warning in first.warnings:
        report.warn(warning)
    return made


def _look(home: Home, target: PreflightTarget, dataset: Dataset, ingested: DatasetFacts) -> PreflightFacts:
    step = target.step
    before = None if step.champion is None else read_known(home, step.champion)
    changes: Changes | None = None
    drift: list[Drift] = []
    not_tested = None
    if before is not None:
        changes, table = compare(before, dataset)
        with writing(target.folder / CHANGES_NAME):
            pq.write_table(table, target.folder / CHANGES_NAME, compression="zstd")
        drift, not_tested = _drift(before, dataset, step)
    images = len(dataset.images)
    seen = Seen(
        counts=count_images(dataset.classes, dataset.images),
        before=None if before is None else before.by_class,
        files=images + ingested.duplicates,
        duplicates=ingested.duplicates,
    )
    facts = PreflightFacts(
        champion=step.champion,
        images=images,
        duplicates=ingested.duplicates,
        changes=changes,
        drift=drift,
        not_tested=not_tested,
        warnings=[*check(seen, step.checks), *(each.sentence for each in drift if each.is_shown)],
    )
    write_json(target.folder / PREFLIGHT_NAME, facts.model_dump(mode="json"))
    return facts


def _drift(before: KnownImages, dataset: Dataset, step: PreflightStep) -> tuple[list[Drift], str | None]:
    if before.learned is None:
        return [], f"{step.champion}, of an earlier thaw, does not say what its images were like"
    added = added_images(before, dataset)
    if len(added) < FEWEST_IMAGES:
        return [], f"of the {FEWEST_IMAGES} new images to learn from that it takes, there are {len(added)}"
    level = level_of_each(step.confidence, features=step.features)
    return drift_of(before.learned, before.classes, added, level), None
