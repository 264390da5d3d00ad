"""Shows what a run has made, in a child process: as a page, for Prefect's UI, and as answers with names of files."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from thaw.tasks.artifacts.step import Facts
from thaw.tasks.calibration.step import CalibrationFacts
from thaw.tasks.devices import choose_devices
from thaw.tasks.evaluation.earned import StagesTested
from thaw.tasks.evaluation.metrics import SplitMetrics
from thaw.tasks.evaluation.predictions import write_table
from thaw.tasks.formats.base import ModelContext
from thaw.tasks.formats.members import chosen
from thaw.tasks.ingest.step import DatasetFacts
from thaw.tasks.process import Reporter
from thaw.tasks.records.read import SplitReader
from thaw.tasks.releases.test_split import PREDICTIONS_NAME
from thaw.tasks.releases.verdict import FLIPS_NAME, METRICS_NAME, Verdict
from thaw.tasks.report.answers import TestImages
from thaw.tasks.report.content import ReportContent
from thaw.tasks.report.finishing import MARKDOWN_NAME
from thaw.tasks.report.gallery import Gallery
from thaw.tasks.report.markdown import render_markdown
from thaw.tasks.report.origins import read_origins, with_origins
from thaw.tasks.report.page import render_report
from thaw.tasks.report.selection import most_confident_mistakes, some_images
from thaw.tasks.report.step import ReportWork
from thaw.tasks.report.training_story import summarize_stage
from thaw.tasks.training.stage_artifact import read_stage
from thaw.tasks.training.stage_facts import StageFacts

_ANSWERS = 9


def write_report(work: ReportWork, reporter: Reporter) -> Facts:
    """Write the report artifact.

    Raises:
        ArtifactError: An input fails its check.
    """
    choose_devices("cpu")  # images are decoded there, whatever trains
    step, store = work.step, work.home.store
    evaluation, verdict = store.verified(step.evaluation), store.verified(step.verdict)
    origins = read_origins(store.verified(step.dataset))
    predictions = with_origins(pq.read_table(evaluation / PREDICTIONS_NAME), origins)
    flips = with_origins(pq.read_table(verdict / FLIPS_NAME), origins)
    write_table(predictions, work.folder / PREDICTIONS_NAME)
    write_table(flips, work.folder / FLIPS_NAME)
    metrics = json.loads((evaluation / METRICS_NAME).read_bytes())
    stages = [read_stage(store.verified(ref)) for ref in (step.stage_one, step.stage_two)]
    records = store.verified(step.records)
    reporter.progress(0.1, "drawing the pictures")
    _draw(work, records, pq.read_table(evaluation / "history.parquet"), metrics["test"], stages)
    reporter.progress(0.8, "writing the page")
    with SplitReader(records, "test") as reader:
        content = _content(work, TestImages(reader, predictions), flips, metrics, stages)
    page = render_report(content, work.folder / "pictures")
    (work.folder / "report.html").write_text(page, encoding="utf-8")
    (work.folder / MARKDOWN_NAME).write_text(render_markdown(content, work.folder / "pictures"), encoding="utf-8")
    return Facts()


def _draw(
    work: ReportWork, records: Path, history: pa.Table, metrics: SplitMetrics, stages: Sequence[StageFacts]
) -> None:
    pictures = work.folder / "pictures"
    pictures.mkdir()
    gallery = Gallery(folder=pictures, classes=stages[-1].classes, seed=work.step.seed)
    with SplitReader(records, "train") as reader:
        gallery.draw_training(reader, stages[0].fit.resolution, work.step.stage_one_settings.augment or [])
    gallery.draw_history(history, [stage.kept_epoch for stage in stages])
    gallery.draw_metrics(metrics)


def _content(
    work: ReportWork, test: TestImages, flips: pa.Table, metrics: dict[str, Any], stages: Sequence[StageFacts]
) -> ReportContent:
    step, store = work.step, work.home.store
    verdict, settings = store.facts(step.verdict, Verdict), (step.stage_one_settings, step.stage_two_settings)
    calibration = store.facts(step.calibration, CalibrationFacts)
    (weights,) = (stage.weights_sha256 for stage in stages if stage.name == calibration.stage)
    usage = chosen(step.formats)[0].usage(ModelContext(stages[-1].classes, step.input))
    return ReportContent(
        recipe_name=step.recipe_name,
        source=step.source,
        images=store.facts(step.dataset, DatasetFacts).examples,
        backbone=stages[-1].backbone,
        resolution=step.input.resolution,
        choice=calibration.choice,
        verdict=verdict,
        metrics=metrics["test"],
        tested=StagesTested.model_validate(metrics["stages"]),
        stages=[summarize_stage(*each) for each in zip(stages, settings, strict=True)],
        better=test.changed(flips, "better") if verdict.champion else None,
        worse=test.changed(flips, "worse") if verdict.champion else None,
        mistakes=test.answers(most_confident_mistakes(test.table, _ANSWERS)),
        some=test.answers(some_images(test.table.num_rows, _ANSWERS, step.seed)),
        augmented=any(operation.name != "center_crop" for operation in step.stage_one_settings.augment or []),
        python=usage.partition("```python\n")[2].partition("```")[0],
        digests={
            **{name.replace("_", " ").capitalize(): ref.digest for name, ref in step.inputs().items()},
            "Weights of the model": weights,
        },
    )
