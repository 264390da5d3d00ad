"""What both stages' weights answer on the test split, in a child process: three passes over it.

Stage one's weights answer twice: at the resolution that they were trained at, and at stage two's. What stage two earned
is what its own weights answer better than those, at the same resolution.
"""

from collections.abc import Iterator
from pathlib import Path

import keras
import tensorflow as tf

from thaw.tasks.devices import choose_devices
from thaw.tasks.evaluation.classify import predict
from thaw.tasks.evaluation.predictions import write_table
from thaw.tasks.evaluation.stage_answers_step import (
    STAGE_ONE,
    STAGE_ONE_AT_STAGE_TWO,
    STAGE_TWO,
    AnswersSummary,
    StageAnswersFacts,
    StageAnswersWork,
    table_name,
)
from thaw.tasks.process import Reporter
from thaw.tasks.records.read import SplitReader
from thaw.tasks.training.stage_artifact import WEIGHTS_NAME, load_classifier, read_stage
from thaw.tasks.training.stage_facts import StageFacts


def answer(work: StageAnswersWork, reporter: Reporter) -> StageAnswersFacts:
    """Write the predictions tables of both stages' weights.

    Raises:
        ArtifactError: An input fails its check.
        TrainingError: A model gives probabilities that are not finite.
    """
    choose_devices(work.step.devices)
    tf.config.experimental.enable_op_determinism()
    step, store = work.step, work.home.store
    stage_one, stage_two = store.verified(step.stage_one), store.verified(step.stage_two)
    answers: dict[str, AnswersSummary] = {}
    with SplitReader(store.verified(step.records), "test") as reader:
        for name, model, images_as in _models(stage_one, stage_two):
            table = predict(model, reader, images_as, step.batch_size, reporter)
            write_table(table, work.folder / table_name(name))
            accuracy = float((table["label"].to_numpy() == table["predicted"].to_numpy()).mean())
            loss = float(table["loss"].to_numpy().mean())
            answers[name] = AnswersSummary(examples=table.num_rows, accuracy=accuracy, loss=loss)
            words = name.replace("_", " ")
            reporter.log(f"{words}, {images_as.fit.resolution} pixels: test accuracy {accuracy:.4f}")
    return StageAnswersFacts(answers=answers)


def _models(stage_one: Path, stage_two: Path) -> Iterator[tuple[str, keras.Model, StageFacts]]:
    # One at a time, so that there is never more than one model in memory.
    yield STAGE_ONE, load_classifier(stage_one), read_stage(stage_one)
    model = load_classifier(stage_two)
    yield STAGE_TWO, model, read_stage(stage_two)
    model.load_weights(stage_one / WEIGHTS_NAME)  # the weights of both have one form, which no resolution changes
    yield STAGE_ONE_AT_STAGE_TWO, model, read_stage(stage_two)
