"""Datasets of images that need no files, and releases that have learned from them. No TensorFlow."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from tests.publishing.helpers import TinyStep, verdict_of
from tests.support import small_recipe, without_cost
from thaw.pipeline_config.dataset_schema import SPLITS, SplitName
from thaw.pipeline_config.schema import Recipe
from thaw.tasks.artifacts.manifest import ArtifactRef, digest_of
from thaw.tasks.artifacts.step import Facts, Made, Step
from thaw.tasks.artifacts.store import write_json
from thaw.tasks.home import Home
from thaw.tasks.ingest.dataset import Dataset, DatasetImage, read_dataset, training_rows, write_dataset
from thaw.tasks.ingest.step import DatasetFacts
from thaw.tasks.preflight.step import PreflightStep, PreflightWork
from thaw.tasks.preflight.work import look
from thaw.tasks.process import Reporter
from thaw.tasks.publishing.portable_recipe import portable_recipe, recipe_yaml
from thaw.tasks.publishing.publish import publish
from thaw.tasks.releases.checksums import write_checksums
from thaw.tasks.releases.learned_from import COLUMNS, LEARNED_FROM_NAME, write_learned_from
from thaw.tasks.releases.preflight import PreflightFacts
from thaw.tasks.releases.release import RESOLVED_RECIPE_FILE_NAME, Release, ReleaseInfo, release_id
from thaw.tasks.releases.test_split import PREDICTIONS_NAME
from thaw.tasks.releases.verdict import TestMetrics as Metrics

_TRAIN: tuple[SplitName, ...] = ("train",) * 8
RECIPE = small_recipe(Path("photos"))


class _DatasetStep(Step):
    kind: ClassVar[str] = "dataset"
    work: ClassVar[str] = "thaw.tasks.releases.release:read_release"
    facts: ClassVar[type[Facts]] = DatasetFacts
    libraries: ClassVar[tuple[str, ...]] = ()

    content: str


def image(
    number: int,
    class_name: str = "cat",
    split: SplitName = "train",
    size: tuple[int, int] = (20, 10),
    brightness: float = 100.0,
) -> DatasetImage:
    """The image of a number; its label is yet to be found."""
    name = hashlib.sha256(str(number).encode()).hexdigest()
    return DatasetImage(name, 0, class_name, split, *size, "JPEG", 9, f"{class_name}/{number}.jpg", brightness)


def images(each: int, *, first: int = 0, classes: Sequence[str] = ("cat", "dog"), **values: Any) -> list[DatasetImage]:
    """So many of each class; of ten, eight are for training, one for validation and one for testing."""
    splits: tuple[SplitName, ...] = (*_TRAIN, "validation", "test")
    return [
        image(first + number, name, splits[number // len(classes) % 10], **values)
        for number, name in enumerate([*classes] * each)
    ]


def dataset_of(found: Sequence[DatasetImage]) -> Dataset:
    classes = sorted({image.class_name for image in found})
    fields = DatasetImage.__slots__
    rows = [{name: getattr(image, name) for name in fields} for image in found]
    return Dataset(classes, [DatasetImage(**row | {"label": classes.index(row["class_name"])}) for row in rows])


def keep(home: Path, found: Sequence[DatasetImage], duplicates: int = 0) -> ArtifactRef:
    """The dataset artifact of these images."""
    dataset = dataset_of(found)

    def work(folder: Path) -> Made:
        write_dataset(folder, dataset.classes, dataset.images, duplicates=duplicates, unreadable=[])
        counts = dict.fromkeys(SPLITS, 0)
        for each in found:
            counts[each.split] += 1
        return without_cost(
            DatasetFacts(
                classes=len(dataset.classes), examples=counts, duplicates=duplicates, in_conflict=0, unreadable=0
            )
        )

    return Home.open(home).store.build(_DatasetStep(content=digest_of([*map(repr, found), duplicates])), work)


def learn(
    home: Path, dataset: ArtifactRef, recipe: Recipe = RECIPE, *, tag: str = "a", form: int = 2, **changes: Any
) -> ReleaseInfo:
    """Publish a release of a recipe that has learned from a dataset, and make it the champion.

    The tag is the digest of its weights, and `changes` are what else it says. Of form 1, it says of the images no more
    than an earlier thaw did, and of form 0 nothing.
    """
    opened = Home.open(home)
    content = opened.store.folder(dataset)
    found = read_dataset(content)
    before = opened.registry.champion(recipe.name)
    metrics = Metrics(examples=100, accuracy=0.9, accuracy_ci=(0.85, 0.95))
    verdict = verdict_of(metrics, None, None, 0.0)
    made_from = {"dataset": dataset.model_dump(), "stage_two": {"kind": "stage", "digest": tag}}
    release = Release(
        id=release_id(recipe.name, [tag, dataset.digest, *sorted(changes)]),
        recipe=recipe.name,
        verdict="first",
        compared_with=before and before.id,
        evaluation=digest_of([tag, dataset.digest]),
        classes=found.classes,
        input=recipe.preprocessing_of("stage_two"),
        test=metrics,
        made_from=made_from | changes.pop("made_from", {}),
        libraries={},
        thaw="0",
        **changes,
    )

    def work(folder: Path) -> Made:
        write_json(folder / "release.json", release.model_dump(mode="json"))
        write_json(folder / "verdict.json", verdict.model_dump(mode="json"))
        document = portable_recipe(recipe, resolved=True)
        text = recipe_yaml(document, RESOLVED_RECIPE_FILE_NAME, "for a test", recipe.dataset.source)
        (folder / RESOLVED_RECIPE_FILE_NAME).write_text(text, encoding="utf-8")
        if form:
            tested = [image for image in found.images if image.split == "test"]
            columns = {name: [getattr(image, name) for image in tested] for name in ("id", "class_name")}
            pq.write_table(pa.table(columns), folder / PREDICTIONS_NAME)
            write_learned_from(folder, training_rows(content, COLUMNS))
        if form == 1:
            table = pq.read_table(folder / LEARNED_FROM_NAME)
            pq.write_table(table.select(["id"]), folder / LEARNED_FROM_NAME)
        write_checksums(folder)
        return without_cost()

    made = opened.store.build(TinyStep(document={"release": release.model_dump(mode="json"), "form": form}), work)
    published = publish(opened, made)
    return published if published.is_champion else opened.registry.promote(published.id, "for a test")


def asked(home: Path, dataset: ArtifactRef, champion: str | None, recipe: Recipe = RECIPE) -> PreflightStep:
    return PreflightStep(
        dataset=dataset,
        champion=champion,
        checks=recipe.checks,
        confidence=recipe.retrain.confidence,
        features=recipe.retrain.features,
    )


def preflight(home: Path, step: PreflightStep, report: Reporter) -> PreflightFacts:
    """Do the step's work in this process, as a run does; returns what it says of the step itself."""
    store = Home.open(home).store

    def work(missing: Sequence[tuple[Step, Path]]) -> list[Made]:
        (first, folder), *others = missing
        also = [{"step": other, "folder": place} for other, place in others]
        request = PreflightWork.model_validate({"home": home, "folder": folder, "step": first, "also": also})
        return Made.timed(lambda: look(request, report)).parted()

    return store.facts(store.build_together(step.together(), work)[0], PreflightFacts)
