"""The TensorFlow tutorial "Transfer learning and fine-tuning" as a plain Keras script. Run by whole_job.py.

It reads a folder with train, validation and test in it, trains a new head on a frozen MobileNetV2, then all layers from
the hundredth on, and prints one line of JSON. Batch normalization and all else are as the tutorial has them. What it
does not have: the test split is a folder of its own, the seed is set, and three and more classes get an output each.

    python -m benchmarks.tutorial --data DIR --weights FILE
"""

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer

FIRST_THAWED = 100  # of the 154 layers
RATE_ONE, RATE_TWO = 1e-4, 1e-5

Datasets = dict[str, Any]


def read_images(data: Path, resolution: int, batch_size: int) -> tuple[Datasets, list[str]]:
    import keras
    import tensorflow as tf

    datasets = {
        split: keras.utils.image_dataset_from_directory(
            data / split, shuffle=True, batch_size=batch_size, image_size=(resolution, resolution), verbose=False
        )
        for split in ("train", "validation", "test")
    }
    names: list[str] = datasets["train"].class_names
    return {split: dataset.prefetch(tf.data.AUTOTUNE) for split, dataset in datasets.items()}, names


def build(weights: str | None, resolution: int, classes: int) -> tuple[Any, Any]:
    import keras

    shape = (resolution, resolution, 3)
    known = weights if weights in (None, "imagenet") else None
    base = keras.applications.MobileNetV2(input_shape=shape, include_top=False, weights=known)
    if weights != known:
        base.load_weights(weights)
    base.trainable = False
    augmentation = keras.Sequential([keras.layers.RandomFlip("horizontal"), keras.layers.RandomRotation(0.2)])
    inputs = keras.Input(shape=shape)
    x = augmentation(inputs)
    x = keras.applications.mobilenet_v2.preprocess_input(x)
    x = base(x, training=False)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dropout(0.2)(x)
    return keras.Model(inputs, keras.layers.Dense(1 if classes == 2 else classes)(x)), base


def compile_for(model: Any, optimizer: Any, classes: int) -> None:
    import keras

    if classes == 2:
        loss, metric = keras.losses.BinaryCrossentropy(from_logits=True), keras.metrics.BinaryAccuracy(threshold=0)
    else:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        metric = keras.metrics.SparseCategoricalAccuracy()
    metric.name = "accuracy"
    model.compile(optimizer=optimizer, loss=loss, metrics=[metric])


def main(
    data: Annotated[Path, typer.Option(help="A folder with train, validation and test in it.")],
    weights: Annotated[str | None, typer.Option(help="A file of backbone weights, or imagenet.")] = None,
    seed: int = 0,
    resolution: int = 160,
    batch_size: int = 32,
    epochs_one: int = 10,
    epochs_two: int = 10,
) -> None:
    """Do the tutorial."""
    seconds, started = {}, time.monotonic()
    import keras

    keras.utils.set_random_seed(seed)
    datasets, names = read_images(data, resolution, batch_size)
    model, base = build(weights, resolution, len(names))
    compile_for(model, keras.optimizers.Adam(RATE_ONE), len(names))
    seconds["import and set-up"] = time.monotonic() - started
    started = time.monotonic()
    model.evaluate(datasets["validation"], verbose=0)
    first = model.fit(datasets["train"], epochs=epochs_one, validation_data=datasets["validation"], verbose=0)
    seconds["stage one"] = time.monotonic() - started
    started = time.monotonic()
    base.trainable = True
    for layer in base.layers[:FIRST_THAWED]:
        layer.trainable = False
    compile_for(model, keras.optimizers.RMSprop(RATE_TWO), len(names))
    second = model.fit(
        datasets["train"],
        epochs=epochs_one + epochs_two,
        initial_epoch=epochs_one,
        validation_data=datasets["validation"],
        verbose=0,
    )
    seconds["stage two"] = time.monotonic() - started
    started = time.monotonic()
    loss, accuracy = model.evaluate(datasets["test"], verbose=0)
    seconds["test"] = time.monotonic() - started
    validation = [history.history["val_accuracy"][-1] for history in (first, second)]
    print(json.dumps({"seconds": seconds, "validation": validation, "accuracy": accuracy, "loss": loss}))


if __name__ == "__main__":
    typer.run(main)
