"""Write all files of a release. TensorFlow; runs in a child process."""

import json
import platform
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq

from thaw.pipeline_config.dataset_schema import SPLITS
from thaw.tasks.artifacts.document import thaw_version
from thaw.tasks.artifacts.manifest import list_files, read_manifest
from thaw.tasks.artifacts.step import library_version
from thaw.tasks.artifacts.store import ArtifactStore, write_json
from thaw.tasks.calibration.step import CALIBRATION_NAME, CalibrationFacts
from thaw.tasks.devices import choose_devices
from thaw.tasks.evaluation.earned import StagesTested
from thaw.tasks.evaluation.predictions import top_probability
from thaw.tasks.formats.base import Format, ModelContext
from thaw.tasks.formats.members import chosen
from thaw.tasks.ingest.dataset import SUMMARY, training_rows
from thaw.tasks.process import Reporter
from thaw.tasks.publishing.model_card import CardFacts, write_card
from thaw.tasks.publishing.portable_recipe import portable_recipe, recipe_yaml
from thaw.tasks.publishing.step import PublishStep, PublishWork, ReleaseFacts
from thaw.tasks.releases.abstention import Abstention, Answered
from thaw.tasks.releases.checksums import write_checksums
from thaw.tasks.releases.learned_from import COLUMNS, write_learned_from
from thaw.tasks.releases.release import (
    CARD_NAME,
    LABELS_NAME,
    RECIPE_FILE_NAME,
    RELEASE_NAME,
    RESOLVED_RECIPE_FILE_NAME,
    Release,
    release_id,
)
from thaw.tasks.releases.test_split import PREDICTIONS_NAME
from thaw.tasks.releases.verdict import FLIPS_NAME, METRICS_NAME, VERDICT_NAME, Verdict, read_test_metrics
from thaw.tasks.report.finishing import with_release_id
from thaw.tasks.training.logits import divide_logits
from thaw.tasks.training.stage_artifact import load_classifier, read_stage
from thaw.tasks.training.step import TrainStep, request_digest

_PAGE_NAME = "report.html"
# Which input has which of the files that are copied. The tables of answers are the report's, which name files.
_COPIED = {
    "calibration": (CALIBRATION_NAME,),
    "evaluation": (METRICS_NAME, "history.parquet"),
    "verdict": (VERDICT_NAME,),
    "report": (_PAGE_NAME, PREDICTIONS_NAME, FLIPS_NAME),
}
_LIBRARIES = ("keras", "numpy", "pillow", "prefect", "pyarrow", "scikit-learn", "tensorflow")


def write_release(work: PublishWork, report: Reporter) -> ReleaseFacts:
    """Write a release, named after its content: the results, the card, the model in every format, the signature.

    Raises ArtifactError where an input is damaged, RequestError where what a format needs is not installed.
    """
    store, step, folder = work.home.store, work.step, work.folder
    choose_devices(step.recipe.devices)
    formats = chosen(step.recipe.publish.formats)
    for member in formats:
        member.check_needs()
    report.progress(0.1, "writing the model card")
    _copy_results(store, step, folder)
    write_learned_from(folder, training_rows(store.verified(step.dataset), COLUMNS))
    _write_recipes(step, folder)
    facts = _gather(store, step, folder, formats)
    (folder / LABELS_NAME).write_text("".join(f"{name}\n" for name in facts.release.classes), encoding="utf-8")
    release = _named(facts, folder, step.key)
    (folder / CARD_NAME).write_text(write_card(replace(facts, release=release)), encoding="utf-8")
    page = (folder / _PAGE_NAME).read_text(encoding="utf-8")
    (folder / _PAGE_NAME).write_text(with_release_id(page, release.id), encoding="utf-8")
    write_json(folder / RELEASE_NAME, release.model_dump(mode="json"))
    report.progress(0.2, "writing the model")
    model, context = load_classifier(store.folder(getattr(step, step.stage))), ModelContext.of(release)
    divide_logits(model, _read_calibration(folder).temperature)
    for member in formats:
        member.export(model, folder, context)
    write_checksums(folder)
    report.progress(1.0, release.id)
    return ReleaseFacts(id=release.id, verdict=release.verdict)


def _write_recipes(step: PublishStep, folder: Path) -> None:
    resolved = portable_recipe(step.recipe, resolved=True)
    for name, words, document in (
        (RECIPE_FILE_NAME, "as it was written", step.written),
        (RESOLVED_RECIPE_FILE_NAME, "with every default filled in", resolved),
    ):
        text = recipe_yaml(document, name, words, step.recipe.dataset.source, step.started_from)
        (folder / name).write_text(text, encoding="utf-8")


def _copy_results(store: ArtifactStore, step: PublishStep, folder: Path) -> None:
    for made, names in _COPIED.items():
        source = store.verified(step.inputs()[made])
        for name in names:
            shutil.copyfile(source / name, folder / name)
    shutil.copytree(store.folder(step.report) / "pictures", folder / "pictures", copy_function=shutil.copyfile)


def _gather(store: ArtifactStore, step: PublishStep, folder: Path, formats: Sequence[Format]) -> CardFacts:
    """Read what the card and `release.json` say; the release's id is yet to be found."""
    stages = [read_stage(store.verified(ref)) for ref in (step.stage_one, step.stage_two)]
    counts = json.loads((store.verified(step.dataset) / SUMMARY).read_bytes())["counts"]
    calibration = _read_calibration(folder)
    verdict = Verdict.from_json((folder / VERDICT_NAME).read_bytes(), VERDICT_NAME)
    release = Release(
        id=release_id(step.recipe.name, None),
        recipe=step.recipe.name,
        verdict=verdict.verdict,
        compared_with=verdict.champion.release if verdict.champion else None,
        evaluation=step.evaluation.digest,
        classes=stages[-1].classes,
        input=step.recipe.preprocessing_of(step.stage),
        stage=step.stage,
        test=read_test_metrics(folder),
        made_from=_made_from(step, store),
        libraries={"python": platform.python_version(), **{name: library_version(name) for name in _LIBRARIES}},
        thaw=thaw_version(),
        temperature=calibration.temperature,
        abstain=None if calibration.abstain is None else _tested(calibration.abstain, folder),
        started_from=step.started_from,
        stage_one_request=request_digest(read_manifest(store.folder(step.stage_one)).made_from),
    )
    metrics = json.loads((folder / METRICS_NAME).read_bytes())
    return CardFacts(
        release=release,
        recipe=step.recipe,
        verdict=verdict,
        metrics=metrics["test"],
        tested=StagesTested.model_validate(metrics["stages"]),
        counts={split: counts[split] for split in SPLITS},
        stages=[stage.model_dump(mode="json") for stage in stages],
        formats=formats,
        choice=calibration.choice,
    )


def _read_calibration(folder: Path) -> CalibrationFacts:
    return CalibrationFacts.from_json((folder / CALIBRATION_NAME).read_bytes(), CALIBRATION_NAME)


def _tested(found: Abstention, folder: Path) -> Abstention:
    table = pq.read_table(folder / PREDICTIONS_NAME)
    right = table["label"].to_numpy() == table["predicted"].to_numpy()
    return found.model_copy(update={"test": Answered.above(found.threshold, top_probability(table), right)})


def _named(facts: CardFacts, folder: Path, key: str) -> Release:
    """Name the release after all that its files say, so that no two releases of one name ever differ.

    The files that hold the name count as they are without it. The models' bytes hold times: for them stands the step's
    key, which follows their stage, the formats, the code that writes them and its libraries.
    """
    content = {
        "models": key,
        "files": {name: entry.sha256 for name, entry in list_files(folder).items()},
        RELEASE_NAME: facts.release.model_dump(mode="json"),
        CARD_NAME: write_card(facts),
    }
    return facts.release.model_copy(update={"id": release_id(facts.recipe.name, content)})


def _made_from(step: PublishStep, store: ArtifactStore) -> dict[str, dict[str, str]]:
    made_from = {name: {"kind": ref.kind, "digest": ref.digest} for name, ref in step.inputs().items()}
    # The digests of what is no artifact stand in the key that an artifact was built under.
    for name, kind, ref, field in (
        ("source", step.recipe.dataset.source.kind, step.dataset, "content"),
        ("weights", "file", step.stage_one, "weights_sha256"),
        ("champion", TrainStep.kind, step.stage_one, "champion"),
    ):
        digest = read_manifest(store.folder(ref)).made_from["depends_on"].get(field)
        if digest is not None:
            made_from[name] = {"kind": kind, "digest": digest}
    return made_from
