"""Finds out how far a finished model's probabilities can be trusted, in a child process, by the validation split."""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from thaw.pipeline_config.errors import TrainingError
from thaw.pipeline_config.stage_schema import StageName
from thaw.tasks.artifacts.store import write_json
from thaw.tasks.calibration.step import CALIBRATION_NAME, CalibrateStep, CalibrateWork, CalibrationFacts, Reliability
from thaw.tasks.calibration.temperature import Labels, Logits, cross_entropy, fit_temperature, probabilities
from thaw.tasks.calibration.threshold import fewest_images, find_threshold
from thaw.tasks.devices import choose_devices
from thaw.tasks.evaluation.classify import answering, classify
from thaw.tasks.evaluation.earned import Gain
from thaw.tasks.evaluation.metrics import calibration, expected_calibration_error
from thaw.tasks.evaluation.paired_difference import Bools
from thaw.tasks.pace import ProgressCounter
from thaw.tasks.process import Reporter
from thaw.tasks.records.read import SplitReader
from thaw.tasks.training.logits import logits_model
from thaw.tasks.training.stage_artifact import load_classifier, read_stage

_LEVEL = 0.95  # of the bins' intervals, which nobody sees here


def calibrate(work: CalibrateWork, reporter: Reporter) -> CalibrationFacts:
    """Write the calibration artifact.

    Raises:
        ArtifactError: An input fails its check.
        DatasetError: The validation split has no images.
        TrainingError: The model gives logits that are not finite.
    """
    choose_devices(work.step.devices)
    tf.config.experimental.enable_op_determinism()
    step, store = work.step, work.home.store
    stages = {name: store.verified(ref) for name, ref in step.stages.items()}
    with SplitReader(store.verified(step.records), "validation") as reader:
        progress = ProgressCounter(reporter, len(stages) * reader.examples, "validation images")
        answers = {
            name: classify(
                answering(logits_model(load_classifier(stage))),
                reader,
                read_stage(stage).fit,
                step.batch_size,
                progress.advance,
            )
            for name, stage in stages.items()
        }
    facts = find(step, answers)
    write_json(work.folder / CALIBRATION_NAME, facts.model_dump(mode="json"))
    _say(work, facts, reporter)
    return facts


def find(step: CalibrateStep, answers: Mapping[StageName, tuple[Labels, Logits]]) -> CalibrationFacts:
    """Choose a stage, and find its temperature and threshold, by what stages answer for the same images.

    Of each stage that might be released, labels (images,) and logits (images, classes).
    """
    if not all(np.isfinite(logits).all() for _, logits in answers.values()):
        raise TrainingError(
            "The model gave a number that is not finite for a validation image, expected logits. "
            "Lower the learning rate of the last stage and train again."
        )
    right: dict[StageName, Bools] = {
        name: logits.argmax(axis=1) == labels for name, (labels, logits) in answers.items()
    }
    gain = None if step.confidence is None else Gain.of(right["stage_two"], right["stage_one"], step.confidence)
    stage: StageName = "stage_two" if gain is None or gain.is_shown else "stage_one"
    labels, logits = answers[stage]
    temperature = fit_temperature(logits, labels) if step.calibrate else 1.0
    # What is served has float32, in which a probability may be 1.
    top = probabilities(logits, temperature).max(axis=1).astype(np.float32).astype(np.float64)
    return CalibrationFacts(
        stage=stage,
        gain=gain,
        images=len(labels),
        right=int(right[stage].sum()),
        temperature=temperature,
        before=_reliability(logits, labels, 1.0),
        after=_reliability(logits, labels, temperature),
        abstain=None if step.abstain is None else find_threshold(top, right[stage], step.abstain),
    )


def _reliability(logits: Logits, labels: Labels, temperature: float) -> Reliability:
    top, right = probabilities(logits, temperature).max(axis=1), logits.argmax(axis=1) == labels
    error = expected_calibration_error(calibration(top, right, _LEVEL))
    return Reliability(loss=cross_entropy(logits, labels, temperature), expected_calibration_error=error)


def _say(work: CalibrateWork, facts: CalibrationFacts, reporter: Reporter) -> None:
    before, after = facts.before, facts.after
    if facts.choice:
        reporter.log(facts.choice)
    reporter.log(
        f"temperature {facts.temperature:g}, on {facts.images:,} validation images: calibration error "
        f"{before.expected_calibration_error:.4f} before, {after.expected_calibration_error:.4f} after; "
        f"loss {before.loss:.4f} before, {after.loss:.4f} after"
    )
    found, asked = facts.abstain, work.step.abstain
    if found is None or asked is None:
        return
    if found.validation.answered:
        reporter.log(f"answers above {found.threshold:g} count: {found.validation.answered:,} of them in validation")
        return
    reporter.warn(
        f"evaluate.abstain: every answer is unsure, because no probability is shown to be right in {asked.right:g} of "
        f"all cases: that takes {fewest_images(asked):,} sure validation images without a mistake, or more with some; "
        f"received {facts.images:,}, {facts.right:,} of them right. Give more images, or lower right or confidence."
    )
