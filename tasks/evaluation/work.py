"""Judges a finished model, in a child process: predictions, metrics, pictures, report."""

from collections.abc import Sequence

import tensorflow as tf

from thaw.tasks.artifacts.store import write_json
from thaw.tasks.devices import choose_devices
from thaw.tasks.evaluation.classify import predict
from thaw.tasks.evaluation.gallery import Gallery
from thaw.tasks.evaluation.history import read_histories
from thaw.tasks.evaluation.metrics import Metrics, compute_metrics
from thaw.tasks.evaluation.predictions import write_table
from thaw.tasks.evaluation.report import ReportContent, render_report
from thaw.tasks.evaluation.step import EvaluateWork, EvaluationFacts, TestSummary
from thaw.tasks.evaluation.training_story import summarize_stage
from thaw.tasks.process import Reporter
from thaw.tasks.records.read import SplitReader
from thaw.tasks.training.logits import divide_logits
from thaw.tasks.training.stage_artifact import load_classifier, read_stage
from thaw.tasks.training.stage_facts import StageFacts


def evaluate(work: EvaluateWork, reporter: Reporter) -> EvaluationFacts:
    """Judge the second stage's model on the test split and write the evaluation artifact.

    Raises:
        ArtifactError: An input fails its check.
        DatasetError: The test split has no images.
        TrainingError: The model gives probabilities that are not finite.
    """
    choose_devices(work.step.devices)
    tf.config.experimental.enable_op_determinism()
    step, store = work.step, work.home.store
    records = store.verified(step.records)
    stages = [store.verified(step.stage_one), store.verified(step.stage_two)]
    facts = [read_stage(folder) for folder in stages]
    with SplitReader(records, "train") as train_split, SplitReader(records, "test") as test_split:
        model = load_classifier(stages[-1])
        divide_logits(model, step.temperature)
        table = predict(model, test_split, facts[-1], step.evaluate.batch_size, reporter)
        metrics = compute_metrics(table, test_split.classes, step.evaluate.confidence, step.temperature)
        history = read_histories({fact.name: folder for fact, folder in zip(facts, stages, strict=True)})
        write_table(table, work.folder / "predictions.parquet")
        write_table(history, work.folder / "history.parquet")
        write_json(work.folder / "metrics.json", metrics)
        pictures = work.folder / "pictures"
        pictures.mkdir()
        gallery = Gallery(folder=pictures, classes=test_split.classes, seed=step.seed)
        gallery.draw_training(train_split, facts[0].fit.resolution, step.stage_one_settings.augment or [])
        gallery.draw_history(history, [fact.kept_epoch for fact in facts])
        gallery.draw_metrics(metrics["test"])
        gallery.draw_test(test_split, table)
        _write_report(work, metrics, facts, train_split.examples)
    test = TestSummary.model_validate(metrics["test"])
    reporter.log(f"test accuracy {test.accuracy:.4f} on {test.examples:,} images, loss {test.loss:.4f}")
    return EvaluationFacts(test=test)


def _write_report(work: EvaluateWork, metrics: Metrics, facts: Sequence[StageFacts], training_images: int) -> None:
    settings = [work.step.stage_one_settings, work.step.stage_two_settings]
    content = ReportContent(
        recipe_name=work.step.recipe_name,
        backbone=facts[-1].backbone,
        metrics=metrics["test"],
        stages=[summarize_stage(fact, config) for fact, config in zip(facts, settings, strict=True)],
        training_images=training_images,
        digests={
            "Records": work.step.records.digest,
            "Stage one": work.step.stage_one.digest,
            "Stage two": work.step.stage_two.digest,
            "Weights of the model": facts[-1].weights_sha256,
        },
        augmented=any(operation.name != "center_crop" for operation in settings[0].augment or []),
    )
    (work.folder / "report.html").write_text(render_report(content, work.folder / "pictures"), encoding="utf-8")
