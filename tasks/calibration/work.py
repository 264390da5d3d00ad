"""Finds out how far a finished model's probabilities can be trusted, in a child process: one pass over validation."""

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from thaw.pipeline_config.errors import TrainingError
from thaw.tasks.artifacts.store import write_json
from thaw.tasks.calibration.step import CALIBRATION_NAME, CalibrateWork, CalibrationFacts, Reliability
from thaw.tasks.calibration.temperature import Labels, Logits, cross_entropy, fit_temperature, probabilities
from thaw.tasks.calibration.threshold import fewest_images, find_threshold
from thaw.tasks.devices import choose_devices
from thaw.tasks.evaluation.classify import classify
from thaw.tasks.evaluation.metrics import calibration, expected_calibration_error
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
    stage = store.verified(step.stage_two)
    with SplitReader(store.verified(step.records), "validation") as reader:
        model = logits_model(load_classifier(stage))
        progress = ProgressCounter(reporter, reader.examples, "validation images")
        labels, logits = classify(model, reader, read_stage(stage), step.batch_size, progress.advance)
    facts = find(work, labels, logits)
    write_json(work.folder / CALIBRATION_NAME, facts.model_dump(mode="json"))
    _say(work, facts, reporter)
    return facts


def find(work: CalibrateWork, labels: Labels, logits: Logits) -> CalibrationFacts:
    """Find the temperature and the threshold of a model, by what it answers for images (images, classes)."""
    if not np.isfinite(logits).all():
        raise TrainingError(
            "The model gave a number that is not finite for a validation image, expected logits. "
            "Lower the learning rate of the last stage and train again."
        )
    temperature = fit_temperature(logits, labels) if work.step.calibrate else 1.0
    right: npt.NDArray[np.bool_] = logits.argmax(axis=1) == labels
    # What is served has float32, in which a probability may be 1.
    top = probabilities(logits, temperature).max(axis=1).astype(np.float32).astype(np.float64)
    return CalibrationFacts(
        images=len(labels),
        right=int(right.sum()),
        temperature=temperature,
        before=_reliability(logits, labels, 1.0),
        after=_reliability(logits, labels, temperature),
        abstain=None if work.step.abstain is None else find_threshold(top, right, work.step.abstain),
    )


def _reliability(logits: Logits, labels: Labels, temperature: float) -> Reliability:
    top, right = probabilities(logits, temperature).max(axis=1), logits.argmax(axis=1) == labels
    error = expected_calibration_error(calibration(top, right, _LEVEL))
    return Reliability(loss=cross_entropy(logits, labels, temperature), expected_calibration_error=error)


def _say(work: CalibrateWork, facts: CalibrationFacts, reporter: Reporter) -> None:
    before, after = facts.before, facts.after
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
