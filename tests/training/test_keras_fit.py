"""A stage beside Keras: the same network, batches and optimizer under `fit` give the same history."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pyarrow.parquet as pq

from tests.support import build_here, build_records, small_recipe, write_pictures
from thaw.flows import requests
from thaw.tasks.home import Home
from thaw.tasks.records.read import SplitReader
from thaw.tasks.training.pipeline import evaluation_batches, stage_salt, steps_per_epoch, training_batches
from thaw.tasks.training.start import build_start, prepare_process
from thaw.tasks.training.step import TrainWork
from thaw.tasks.training.work import train_stage

EPOCHS, BATCH = 3, 16


def test_the_history_of_a_stage_is_that_of_keras_fit(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"resolution": 16, "train": "all", "epochs": EPOCHS, "batch_size": BATCH}
    settings["class_weights"] = {"red": 3.0}
    settings["optimizer"] = {"name": "sgd", "learning_rate": 0.005, "momentum": 0.0}
    model = {"backbone": "SmallCNN", "dropout": 0.0}
    recipe = small_recipe(write_pictures(tmp_path / "data", each=20), model=model, augment=[], stage_one=settings)
    home = Home.open(tmp_path / "home")
    step = requests.stage_one(recipe, home, build_records(home.path, recipe), None)
    stage = home.store.verified(build_here(home.path, step, TrainWork, train_stage))
    measured = pq.read_table(stage / "history.parquet").to_pydict()

    prepare_process(step, step.name)
    classifier = build_start(step, home.store, classes=["blue", "red"], resolution=16)
    classifier.compile(keras.optimizers.SGD(0.005), "sparse_categorical_crossentropy", metrics=["accuracy"])
    records = home.store.verified(step.records)
    with SplitReader(records, "train") as train, SplitReader(records, "validation") as validation:
        assert train.examples % BATCH not in (0, BATCH), "the test needs batches of two sizes"
        held_out = evaluation_batches(validation, step.stage.fit, batch_size=BATCH)
        expected = classifier.fit(
            training_batches(train, step.stage, seed=step.seed, salt=stage_salt(step.name)),
            epochs=EPOCHS,
            steps_per_epoch=steps_per_epoch(train.examples, BATCH),
            validation_data=held_out.map(lambda images, labels, _: (images, labels)),
            class_weight={0: 1.0, 1: 3.0},
            shuffle=False,
            verbose=0,
        ).history
    for name, values in expected.items():
        np.testing.assert_allclose(measured[name][1:], values, rtol=1e-4, err_msg=name)
