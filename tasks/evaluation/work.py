"""Judges a finished model, in a child process: the answers of its stages' weights, and its metrics."""

from collections.abc import Iterator
from pathlib import Path

import keras
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf

from thaw.pipeline_config.stage_schema import StageName
from thaw.tasks.artifacts.store import write_json
from thaw.tasks.devices import choose_devices
from thaw.tasks.evaluation.classify import predict
from thaw.tasks.evaluation.earned import ANSWERS, STAGE_ONE, STAGE_ONE_AT_STAGE_TWO, STAGE_TWO, StagesTested
from thaw.tasks.evaluation.metrics import compute_metrics
from thaw.tasks.evaluation.predictions import write_table
from thaw.tasks.evaluation.step import EvaluateWork, EvaluationFacts, TestSummary
from thaw.tasks.pace import ProgressCounter
from thaw.tasks.process import Reporter
from thaw.tasks.records.read import SplitReader
from thaw.tasks.releases.test_split import PREDICTIONS_NAME
from thaw.tasks.training.logits import divide_logits
from thaw.tasks.training.stage_artifact import WEIGHTS_NAME, load_classifier, read_stage
from thaw.tasks.training.stage_facts import StageFacts


def evaluate(work: EvaluateWork, reporter: Reporter) -> EvaluationFacts:
    """Judge a stage's model on the test split, and what each stage earned there.

    Raises:
        ArtifactError: An input fails its check.
        DatasetError: The test split has no images.
        TrainingError: A model gives probabilities that are not finite.
    """
    choose_devices(work.step.devices)
    tf.config.experimental.enable_op_determinism()
    step, store = work.step, work.home.store
    stages = [store.verified(step.stage_one), store.verified(step.stage_two)]
    one, two = (read_stage(folder) for folder in stages)
    with SplitReader(store.verified(step.records), "test") as split:
        classes = split.classes
        passes = 2 if one.fit == two.fit else 3
        progress = ProgressCounter(reporter, passes * split.examples, "answers for test images")
        tables = {
            name: predict(model, split, images_as, step.evaluate.batch_size, progress.advance)
            for name, model, images_as in _models(step.judged, step.temperature, stages[0], stages[1])
        }
    tables.setdefault(STAGE_ONE_AT_STAGE_TWO, tables[STAGE_ONE])
    metrics = compute_metrics(tables[step.judged], classes, step.evaluate.confidence, step.temperature)
    resolutions = {name: (one if name == STAGE_ONE else two).fit.resolution for name in ANSWERS}
    tested = StagesTested.of(tables, resolutions, step.evaluate.confidence)
    for name, file in ANSWERS.items():
        write_table(tables[name], work.folder / file)
    write_table(tables[step.judged], work.folder / PREDICTIONS_NAME)
    write_table(_history({one.name: stages[0], two.name: stages[1]}), work.folder / "history.parquet")
    write_json(work.folder / "metrics.json", {**metrics, "stages": tested.model_dump(mode="json")})
    test = TestSummary.model_validate(metrics["test"])
    reporter.log(f"test accuracy {test.accuracy:.4f} on {test.examples:,} images, loss {test.loss:.4f}")
    reporter.log(tested.sentence)
    return EvaluationFacts(test=test, stages=tested)


def _models(
    judged: StageName, temperature: float, stage_one: Path, stage_two: Path
) -> Iterator[tuple[str, keras.Model, StageFacts]]:
    """Load the models that answer, one at a time, so that there is never more than one in memory.

    The temperature is for the one that is judged.
    """
    one, two = read_stage(stage_one), read_stage(stage_two)
    model = load_classifier(stage_one)
    divide_logits(model, temperature if judged == STAGE_ONE else 1.0)
    yield STAGE_ONE, model, one
    model = load_classifier(stage_two)
    divide_logits(model, temperature if judged == STAGE_TWO else 1.0)
    yield STAGE_TWO, model, two
    if one.fit != two.fit:  # else stage one has answered for these very pixels
        model.load_weights(stage_one / WEIGHTS_NAME)  # the weights of both have one form, which no resolution changes
        yield STAGE_ONE_AT_STAGE_TWO, model, two


def _history(stage_folders: dict[str, Path]) -> pa.Table:
    """Put the stages' histories below each other, with a column `stage` (string) before their own."""
    parts = []
    for name, folder in stage_folders.items():
        part = pq.read_table(folder / "history.parquet")
        parts.append(part.add_column(0, "stage", pa.array([name] * part.num_rows, pa.string())))
    return pa.concat_tables(parts)
