"""Write all files of a release. TensorFlow; runs in a child process."""

import json
import platform
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from thaw.pipeline_config.dataset_schema import SPLITS
from thaw.tasks.artifacts.manifest import ArtifactRef, read_manifest
from thaw.tasks.artifacts.step import library_version
from thaw.tasks.artifacts.store import ArtifactStore, write_json
from thaw.tasks.ingest.dataset import SUMMARY
from thaw.tasks.process import Reporter
from thaw.tasks.publishing.formats.base import Format, ModelContext
from thaw.tasks.publishing.formats.members import chosen
from thaw.tasks.publishing.model_card import CardFacts, write_card
from thaw.tasks.publishing.portable_recipe import recipe_yaml
from thaw.tasks.publishing.step import PublishStep, PublishWork
from thaw.tasks.releases.checksums import write_checksums
from thaw.tasks.releases.release import (
    CARD_NAME,
    LABELS_NAME,
    RECIPE_NAME,
    RELEASE_NAME,
    ModelInput,
    Release,
    release_id,
)
from thaw.tasks.releases.verdict import METRICS_NAME, VERDICT_NAME, Verdict, read_test_metrics
from thaw.tasks.training.stage_artifact import StageFacts, load_classifier, read_stage

_EVALUATION_FILES = (METRICS_NAME, "predictions.parquet", "history.parquet", "report.html")
_EVALUATION_FOLDERS = ("pictures",)
_LIBRARIES = ("keras", "numpy", "pillow", "prefect", "pyarrow", "scikit-learn", "tensorflow")


def write_release(work: PublishWork, report: Reporter) -> dict[str, Any]:
    """Write a release: the model in every format, the evaluation, the model card, and the signature.

    The bytes of a model file differ from time to time, because its format holds times. The release's id does not.

    Args:
        work: The request.
        report: Gets the progress.

    Returns:
        The release's id and its verdict.

    Raises:
        ArtifactError: An input is damaged.
    """
    store, step, folder = ArtifactStore(work.home), work.step, work.folder
    evaluation = store.open(step.evaluation)
    verdict_folder = store.open(step.verdict)
    stages = [read_stage(store.open(ref)) for ref in (step.stage_one, step.stage_two)]
    summary = json.loads((store.open(step.dataset) / SUMMARY).read_bytes())
    verdict = Verdict.model_validate_json((verdict_folder / VERDICT_NAME).read_bytes())
    release = _describe(step, store, stages[-1], evaluation, verdict)

    report.progress(0.1, "writing the model")
    formats = chosen(step.recipe.publish.formats)
    _export(store.folder(step.stage_two), folder, formats, ModelContext(release.classes, release.input))
    report.progress(0.8, "writing the model card")
    for name in _EVALUATION_FILES:
        shutil.copyfile(evaluation / name, folder / name)
    for name in _EVALUATION_FOLDERS:
        shutil.copytree(evaluation / name, folder / name, copy_function=shutil.copyfile)
    shutil.copyfile(verdict_folder / VERDICT_NAME, folder / VERDICT_NAME)
    facts = CardFacts(
        release=release,
        recipe=step.recipe,
        verdict=verdict,
        metrics=json.loads((evaluation / METRICS_NAME).read_bytes())["test"],
        counts={split: summary["counts"][split] for split in SPLITS},
        stages=[stage.model_dump(mode="json") for stage in stages],
        formats=formats,
    )
    (folder / CARD_NAME).write_text(write_card(facts), encoding="utf-8")
    (folder / RECIPE_NAME).write_text(recipe_yaml(step.recipe), encoding="utf-8")
    (folder / LABELS_NAME).write_text("".join(f"{name}\n" for name in release.classes), encoding="utf-8")
    write_json(folder / RELEASE_NAME, release.model_dump(mode="json"))
    write_checksums(folder)
    report.progress(1.0, release.id)
    return {"id": release.id, "verdict": release.verdict}


def _export(stage: Path, folder: Path, formats: Sequence[Format], context: ModelContext) -> None:
    for member in formats:
        member.check_needs()
    model = load_classifier(stage)
    for member in formats:
        member.export(model, folder, context)


def _describe(
    step: PublishStep, store: ArtifactStore, stage_two: StageFacts, evaluation: Path, verdict: Verdict
) -> Release:
    return Release(
        id=release_id(step.recipe.name, step.evaluation, step.stage_two, step.recipe.publish),
        recipe=step.recipe.name,
        verdict=verdict.verdict,
        compared_with=verdict.champion.release if verdict.champion else None,
        evaluation=step.evaluation.digest,
        classes=stage_two.classes,
        input=ModelInput(resolution=stage_two.resolution, center_crop=stage_two.center_crop),
        test=read_test_metrics(evaluation),
        made_from=_made_from(step, store),
        libraries={"python": platform.python_version(), **{name: library_version(name) for name in _LIBRARIES}},
        thaw=library_version("thaw"),
    )


def _made_from(step: PublishStep, store: ArtifactStore) -> dict[str, dict[str, str]]:
    made_from = {name: {"kind": ref.kind, "digest": ref.digest} for name, ref in step.inputs().items()}
    source = _key_part(store, step.dataset, "content")
    if source is not None:
        made_from["source"] = {"kind": step.recipe.dataset.source.kind, "digest": source}
    weights = _key_part(store, step.stage_one, "weights_sha256")
    if weights is not None:
        made_from["weights"] = {"kind": "file", "digest": weights}
    return made_from


def _key_part(store: ArtifactStore, ref: ArtifactRef, name: str) -> str | None:
    # The digests of what is no artifact stand in the key that an artifact was built under.
    value: str | None = read_manifest(store.folder(ref)).made_from["depends_on"].get(name)
    return value
