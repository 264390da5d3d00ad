"""Judges a finished model, in a child process: the answers of its stages' weights, and its metrics."""

from collections.abc import Iterator
from pathlib import Path

import keras
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf

from thaw.pipeline_config.preprocessing import Fit
from thaw.pipeline_config.stage_schema import StageName
from thaw.tasks.artifacts.store import write_json
from thaw.tasks.devices import choose_devices
from thaw.tasks.evaluation.classify import Answer, answering, predict
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
            name: predict(answer, split, how, step.evaluate.batch_size, progress.advance)
            for name, answer, how in _models(step.judged, step.temperature, stages[0], stages[1])
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
) -> Iterator[tuple[str, Answer, Fit]]:
    """Load the models that answer, one at a time, so that there is never more than one in memory.

    The temperature is for the one that is judged.
    """
    one, two = read_stage(stage_one).fit, read_stage(stage_two).fit
    asked = {STAGE_ONE: (stage_one, one), STAGE_TWO: (stage_two, two)}
    if one != two:  # else stage one has answered for these very pixels
        asked[STAGE_ONE_AT_STAGE_TWO] = (stage_one, two)
    loaded: tuple[keras.Model, Answer] | None = None
    for name, (folder, how) in asked.items():
        if loaded is None or loaded[0].input_shape[1] != how.resolution:
            loaded = (model := load_classifier(folder)), answering(model)
        else:
            loaded[0].load_weights(folder / WEIGHTS_NAME)  # those of both stages have one form
        model, answer = loaded
        divide_logits(model, temperature if name == judged else 1.0)
        yield name, answer, how


def _history(stage_folders: dict[str, Path]) -> pa.Table:
    """Put the stages' histories below each other, with a column `stage` (string) before their own."""
    parts = []
    for name, folder in stage_folders.items():
        part = pq.read_table(folder / "history.parquet")
        parts.append(part.add_column(0, "stage", pa.array([name] * part.num_rows, pa.string())))
    return pa.concat_tables(parts)
