"""Trains one stage, in a child process. Both stages are this function."""

import contextlib
import dataclasses
import math
from threading import Event

import keras
import numpy as np

from thaw.pipeline_config.stage_schema import StageConfig
from thaw.tasks.process import Reporter, asked_to_leave
from thaw.tasks.records.read import SplitReader
from thaw.tasks.training.averaging import WeightAverage, averaged_variables
from thaw.tasks.training.champion import leave_champion
from thaw.tasks.training.checkpoint import Checkpoints
from thaw.tasks.training.checks import check_class_weights
from thaw.tasks.training.devices import computing_in
from thaw.tasks.training.examples import Examples, of_features, of_images
from thaw.tasks.training.features.files import open_features
from thaw.tasks.training.loop import Loop
from thaw.tasks.training.model import build_classifier, weights_sha256
from thaw.tasks.training.optimizers import build_optimizer
from thaw.tasks.training.pipeline import stage_salt, steps_per_epoch
from thaw.tasks.training.stage_artifact import write_stage
from thaw.tasks.training.stage_facts import Measurement, StageFacts
from thaw.tasks.training.start import build_start, prepare_process
from thaw.tasks.training.state import TrainingState
from thaw.tasks.training.step import TrainStep, TrainWork
from thaw.tasks.training.step_functions import make_measure_function, make_train_function
from thaw.tasks.training.thawing import Thawed, make_ordinary, thaw


def train_stage(work: TrainWork, reporter: Reporter) -> StageFacts:
    """Train a stage and write its artifact.

    Raises:
        RecipeError: The stage asks for something that the backbone or the classes do not have.
        TrainingError: A loss or a weight is not finite.
        StepProcessError: The process was asked to leave; the state is in a checkpoint.
        ArtifactError: An input fails its check.
    """
    step = work.step
    strategy = prepare_process(step, step.name)
    store = work.home.store
    records = store.verified(step.records)
    train_split, validation_split = SplitReader(records, "train"), SplitReader(records, "validation")
    check_class_weights(step.name, step.stage, train_split.classes)
    resolution = step.stage.fit.resolution
    with strategy.scope(), computing_in(step.precision), contextlib.ExitStack() as stack:
        model = build_start(step, store, classes=train_split.classes, resolution=resolution)
        thawed = thaw(model, step.stage, step.model.backbone)
        for warning in thawed.warnings:
            reporter.warn(warning)
        if step.start_note is not None:
            reporter.log(step.start_note)
        if step.start_warning is not None:
            reporter.warn(step.start_warning)
        leave_champion(step, store, thawed.variables, train_split.classes, reporter)
        features = open_features(store, step.features_key, step.name)
        if features is None:
            examples = of_images(step, train_split, validation_split)
        else:
            reporter.log(f"{step.name} learns from what the frozen layers put out for {features.views} views.")
            examples = of_features(step, stack.enter_context(features), train_split, validation_split)
            thawed = dataclasses.replace(thawed, prefix=None)  # what it would put out is what comes in
        with asked_to_leave() as asked:
            state = _make_loop(work, thawed, train_split, examples, asked, reporter).run()
            reporter.seconds_before = state.seconds_before
    make_ordinary(model)
    if step.precision != "float32":
        # What is kept computes in float32, wherever it is used: the precision is that of training alone.
        keras.utils.clear_session()
        trained = model.get_weights()
        model = build_classifier(step.model, classes=len(train_split.classes), resolution=resolution, pretrained=False)
        model.set_weights(trained)
    facts = _facts(step, model, thawed, state, train_split, examples.feature_views)
    write_stage(work.folder, model, state.history, facts)
    return facts


def _make_loop(
    work: TrainWork, thawed: Thawed, train_split: SplitReader, examples: Examples, asked: Event, reporter: Reporter
) -> Loop:
    step, stage = work.step, work.step.stage
    optimizer = build_optimizer(stage.optimizer, thawed.variables, step.precision)
    changing = averaged_variables(thawed.suffix, thawed.variables)
    average = None if stage.ema is None else WeightAverage(changing, stage.ema)
    weights = class_weights(stage, train_split.classes, train_split.class_counts)
    return Loop(
        name=step.name,
        model=thawed.suffix,
        stage=stage,
        train=make_train_function(
            thawed,
            optimizer,
            class_weights=weights,
            label_smoothing=stage.label_smoothing,
            seed=step.seed ^ stage_salt(step.name),
            average=average,
        ),
        evaluate=make_measure_function(thawed, average),
        examples=examples,
        steps_per_epoch=steps_per_epoch(train_split.examples, stage.batch_size),
        loss_of_guessing=math.log(len(weights)) * float(np.average(weights, weights=train_split.class_counts)),
        average=average,
        checkpoints=Checkpoints(
            step.name,
            work.checkpoints,
            # The layers before the suffix stay as they were at the start.
            [*thawed.suffix.variables, *optimizer.variables, *(average.variables if average else [])],
            every=work.checkpoint_every,
            reporter=reporter,
        ),
        asked_to_leave=asked,
        reporter=reporter,
    )


def class_weights(stage: StageConfig, classes: list[str], counts: list[int]) -> np.ndarray:
    """Compute what an example of each class counts in the training loss: float32 (classes,).

    With "balanced" every class has the same sum of weights, and the mean over images is 1. All counts are above 0.
    """
    if stage.class_weights is None:
        return np.ones(len(classes), np.float32)
    if stage.class_weights == "balanced":
        return np.asarray(sum(counts) / (len(counts) * np.asarray(counts)), np.float32)
    return np.asarray([stage.class_weights.get(name, 1.0) for name in classes], np.float32)


def _facts(
    step: TrainStep,
    model: keras.Model,
    thawed: Thawed,
    state: TrainingState,
    train_split: SplitReader,
    feature_views: int,
) -> StageFacts:
    first = state.history[0]
    kept = state.history[state.best_epoch if step.stage.keep == "best" else -1]
    return StageFacts(
        name=step.name,
        backbone=step.model.backbone,
        fit=step.stage.fit,
        classes=train_split.classes,
        training_images=train_split.examples,
        epochs=state.history[-1].epoch,
        kept_epoch=kept.epoch,
        before=Measurement(val_loss=first.val_loss, val_accuracy=first.val_accuracy),
        val_loss=kept.val_loss,
        val_accuracy=kept.val_accuracy,
        weights_sha256=weights_sha256(model.get_weights()),
        parameters=model.count_params(),
        trainable_parameters=sum(int(np.prod(variable.shape)) for variable in thawed.variables),
        trainable_tensors=len(thawed.variables),
        feature_views=feature_views,
    )
