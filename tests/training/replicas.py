"""Trains small things on two logical CPUs and on one device, in a process of its own, and writes what came out.

TensorFlow divides a CPU only before it computes anything, so this cannot be done in the process of the tests.
"""

import functools
import json
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import keras
import numpy as np
import tensorflow as tf

from tests.support import build_records, silent_reporter, small_recipe, write_pictures
from thaw.flows import requests
from thaw.pipeline_config.schema import ModelConfig
from thaw.pipeline_config.stage_schema import LastBlocks, StageConfig, Train
from thaw.tasks.artifacts.step import Made
from thaw.tasks.home import Home
from thaw.tasks.training import work
from thaw.tasks.training.averaging import WeightAverage, averaged_variables
from thaw.tasks.training.checkpoint import Checkpoints
from thaw.tasks.training.devices import computing_in, mirrored
from thaw.tasks.training.features.prefix import Compute, find_frozen_output, frozen_models
from thaw.tasks.training.model import build_classifier
from thaw.tasks.training.optimizers import build_optimizer
from thaw.tasks.training.state import TrainingState
from thaw.tasks.training.step import TrainWork
from thaw.tasks.training.step_functions import make_measure_function, make_train_function
from thaw.tasks.training.thawing import thaw

SIZES = (8, 7, 1)  # the last two cannot be shared evenly, and the last leaves one replica without an example
TWO_CPUS = ["CPU:0", "CPU:1"]


def compare(settings: dict[str, Any], precision: Any) -> dict[str, list[float]]:
    """Give the losses, right answers and weights' sums of the same steps, on one device and on two."""
    return {
        name: steps_under(strategy, StageConfig.model_validate(settings), precision)
        for name, strategy in (("one", tf.distribute.get_strategy()), ("two", mirrored(TWO_CPUS)))
    }


def steps_under(strategy: tf.distribute.Strategy, stage: StageConfig, precision: Any) -> list[float]:
    """Train for a few steps and measure after each."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    random, numbers = np.random.default_rng(0), []
    with strategy.scope(), computing_in(precision):
        config = ModelConfig(backbone="SmallCNN", dropout=0.0)
        model = build_classifier(config, classes=3, resolution=16, pretrained=True)
        thawed = thaw(model, stage, "SmallCNN")
        optimizer = build_optimizer(stage.optimizer, thawed.variables, precision)
        average = WeightAverage(averaged_variables(thawed.suffix, thawed.variables), 0.5)
        weights = np.asarray([1.0, 2.0, 0.5], np.float32)
        train = make_train_function(
            thawed, optimizer, class_weights=weights, label_smoothing=0.1, seed=1, average=average
        )
        measure = make_measure_function(thawed, average)
        for step, size in enumerate(SIZES):
            images = tf.constant(random.uniform(0, 255, (size, 16, 16, 3)), tf.float32)
            labels = tf.constant(random.integers(0, 3, size), tf.int32)
            numbers += [float(each) for each in train(images, labels, tf.constant(0.05), tf.constant(step))]
            numbers += [float(each) for each in measure(images, labels)]
        numbers += [float(np.abs(array).sum()) for array in model.get_weights()]
    return numbers


class StopError(BaseException):
    """Not an Exception, as a kill is none."""


class StopsAt(Checkpoints):
    """Stops the training after so many steps."""

    stop_after = 0

    def save_if_due(self, state: TrainingState, *, epoch_ended: bool) -> None:
        super().save_if_due(state, epoch_ended=epoch_ended)
        if state.steps == StopsAt.stop_after and not epoch_ended:
            raise StopError


def frozen_outputs(strategy: tf.distribute.Strategy) -> list[float]:
    """Run batches of all sizes through the frozen layers."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    random, numbers = np.random.default_rng(0), []
    with strategy.scope():
        model = build_classifier(ModelConfig(backbone="SmallCNN"), classes=3, resolution=16, pretrained=True)
        stages: dict[str, Train] = {"one": "head", "two": LastBlocks(last_blocks=1)}
        found = [find_frozen_output(model, "SmallCNN", *stage) for stage in stages.items()]
        (frozen_model,) = frozen_models(model, [frozen for frozen in found if frozen is not None])
        compute = Compute(frozen_model)
        for size in SIZES:
            outputs = compute(tf.constant(random.uniform(0, 255, (size, 16, 16, 3)), tf.float32))
            numbers += [float(number) for name in ("one", "two") for number in np.ravel(outputs[name])[::50]]
    return numbers


def resume(folder: Path) -> dict[str, str]:
    """Give the digests of a stage that two devices trained at once, and in two parts."""
    stage = {"resolution": 16, "train": "all", "epochs": 2, "batch_size": 8, "ema": 0.9}
    stage["optimizer"] = {"name": "adam", "learning_rate": 0.01}
    recipe = small_recipe(write_pictures(folder / "data", each=20), stage_one=stage)
    digests = {}
    for name, stops in (("undisturbed", [0]), ("resumed", [3, 0])):
        home = folder / name
        opened = Home.open(home)
        step = requests.stage_one(recipe, opened, build_records(home, recipe), None)
        checkpoints = opened.store.checkpoints(step.key)
        request = {"home": opened, "step": step, "checkpoints": checkpoints, "checkpoint_every": 2}
        for StopsAt.stop_after in stops:
            try:
                digests[name] = opened.store.build(step, functools.partial(train, request)).digest
            except StopError:
                digests[f"{name} was stopped"] = "yes"
    return digests


def train(request: dict[str, Any], folder: Path) -> Made:
    """Train the stage that a request names, into a folder."""
    with (
        mock.patch("thaw.tasks.training.start.choose_strategy", return_value=mirrored(TWO_CPUS)),
        mock.patch("thaw.tasks.training.work.Checkpoints", StopsAt),
    ):
        return Made.timed(lambda: work.train_stage(TrainWork(folder=folder, **request), silent_reporter()))


if __name__ == "__main__":
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    tf.config.experimental.enable_op_determinism()
    sgd = {"name": "sgd", "learning_rate": 0.05}
    frozen = {"train": "all", "batch_norm": "affine", "epochs": 1, "optimizer": sgd}
    result: dict[str, Any] = {
        "frozen": compare(frozen, "float32"),
        "train": compare(frozen | {"batch_norm": "train"}, "float32"),
        "float16": compare(frozen, "float16"),
        "features": {
            "one": frozen_outputs(tf.distribute.get_strategy()),
            "two": frozen_outputs(mirrored(TWO_CPUS)),
        },
        "resume": resume(Path(sys.argv[1])),
    }
    sys.stdout.write(json.dumps(result))
