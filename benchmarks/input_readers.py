"""The processes of input_pipeline.py: each reads the training images in its way, and prints one line of JSON.

`prepare` writes the records and a data set of tensorflow-datasets of the same images. `records`, `directory` and `tfds`
read them. `training` measures what a training step waits for its batch. TensorFlow is imported in these processes only.
"""

import functools
import json
import time
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import tensorflow as tf
import typer

from benchmarks.pictures import images_of
from thaw.flows import requests
from thaw.pipeline_config.augment_schema import (
    RandomContrast,
    RandomFlip,
    RandomRotation,
    RandomTranslation,
    RandomZoom,
)
from thaw.pipeline_config.loading import load_recipe
from thaw.pipeline_config.schema import Recipe
from thaw.pipeline_config.stage_schema import StageConfig
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.artifacts.step import Made
from thaw.tasks.home import Home
from thaw.tasks.records.read import SplitReader
from thaw.tasks.training.pipeline import stage_salt, training_batches

if TYPE_CHECKING:  # it imports Keras, which not every one of the processes needs
    from thaw.tasks.training.thawing import Thawed

EPOCHS = 2
RECORDS_NAME = "records.json"
TFDS_NAME = "benchmark_pictures"
_SHUFFLED = 1000  # images, as the documentation of tensorflow-datasets has it
_WARM_UP = 3  # steps, in which functions are traced and files first read

Batches = Iterable[tuple[tf.Tensor, tf.Tensor]]


class Kind(StrEnum):
    """What a process does."""

    PREPARE = "prepare"
    RECORDS = "records"
    DIRECTORY = "directory"
    TFDS = "tfds"
    TRAINING = "training"


def prepare(recipe: Recipe, place: Path) -> dict[str, Any]:
    """Write the recipe's records, and its training images as a folder and as a data set of tensorflow-datasets."""
    import tensorflow_datasets as tfds

    from thaw.tasks.process import Reporter
    from thaw.tasks.records.step import RecordsWork
    from thaw.tasks.records.work import write_records

    home, images = place / "home", place / "images"
    written = [(image, encoded) for image, encoded in images_of(recipe, home) if image.split == "train"]
    for image, encoded in written:
        (images / image.class_name).mkdir(parents=True, exist_ok=True)
        (images / image.class_name / f"{image.id[:16]}.{image.format.lower()}").write_bytes(encoded)
    opened = Home.open(home)
    dataset = opened.store.look_up(requests.ingest(recipe, opened).key)
    assert dataset is not None
    step = requests.records(recipe, opened, dataset)
    with (place / "log").open("w") as log:

        def work(folder: Path) -> Made:
            request = RecordsWork(home=opened, folder=folder, step=step)
            return Made.timed(lambda: write_records(request, Reporter(log)))

        ref = opened.store.build(step, work)
    (place / RECORDS_NAME).write_text(ref.model_dump_json())
    names = sorted({image.class_name for image, _ in written})
    features = {"image": tfds.features.Image(), "label": tfds.features.ClassLabel(names=names)}
    tfds.dataset_builders.store_as_tfds_dataset(
        name=TFDS_NAME,
        version="1.0.0",
        features=tfds.features.FeaturesDict(features),
        split_datasets={
            "train": [(image.id, {"image": encoded, "label": image.class_name}) for image, encoded in written]
        },
        data_dir=place / "tfds",
    )
    return {"images": len(written)}


def train_split(place: Path) -> SplitReader:
    ref = ArtifactRef.model_validate_json((place / RECORDS_NAME).read_text())
    return SplitReader(Home.open(place / "home").store.verified(ref), "train")


def batches_of_records(reader: SplitReader, stage: StageConfig, epochs: int) -> Batches:
    # As training does: with what it asks of TensorFlow, and its own function.
    tf.config.experimental.enable_op_determinism()
    stage = stage.model_copy(update={"epochs": epochs})
    batches: Batches = training_batches(reader, stage, seed=0, salt=stage_salt("stage_one"))
    return batches


def batches_of_directory(place: Path, stage: StageConfig, resolution: int) -> Batches:
    import keras

    dataset = keras.utils.image_dataset_from_directory(
        place / "images", batch_size=stage.batch_size, image_size=(resolution, resolution), verbose=False
    )
    return augmented(dataset, stage)


def batches_of_tfds(place: Path, stage: StageConfig, resolution: int) -> Batches:
    import tensorflow_datasets as tfds

    builder = tfds.builder(TFDS_NAME, data_dir=place / "tfds")

    def fit(example: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.image.resize(example["image"], [resolution, resolution]), example["label"]

    dataset = builder.as_dataset(split="train", shuffle_files=True).map(fit, tf.data.AUTOTUNE)
    return augmented(dataset.shuffle(_SHUFFLED).batch(stage.batch_size), stage)


def augmented(dataset: tf.data.Dataset, stage: StageConfig) -> Batches:
    """Go through the epochs, and augment with Keras's layers, batch by batch."""
    layers = [keras_layer(operation) for operation in stage.augment or []]

    def augment(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        for layer in layers:
            images = layer(images, training=True)
        return images, labels

    batches: Batches = dataset.repeat(EPOCHS).map(augment, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
    return batches


def keras_layer(operation: Any) -> Any:
    import keras

    fill = getattr(operation, "fill", None)
    if isinstance(operation, RandomFlip):
        return keras.layers.RandomFlip(operation.mode)
    if isinstance(operation, RandomRotation):
        return keras.layers.RandomRotation(operation.factor, fill_mode=fill)
    if isinstance(operation, RandomTranslation):
        return keras.layers.RandomTranslation(operation.height, operation.width, fill_mode=fill)
    if isinstance(operation, RandomZoom):
        return keras.layers.RandomZoom(operation.factor, fill_mode=fill)
    if isinstance(operation, RandomContrast):
        return keras.layers.RandomContrast(operation.factor, value_range=(0, 255))
    raise SystemExit(f"Keras has no layer that does what {operation.name} does. Choose a recipe without it.")


def seconds_of_epochs(batches: Batches, images: int) -> list[float]:
    """Go through the images, and note when each epoch ends; the first holds what the pipeline takes to begin."""
    started, seen, ends = time.monotonic(), 0, list[float]()
    for _, labels in batches:
        seen += int(labels.shape[0])
        if seen == images * (len(ends) + 1):
            ends.append(time.monotonic() - started)
    return ends


def measure_waiting(recipe: Recipe, place: Path, steps_to_time: int) -> dict[str, dict[str, float]]:
    """Measure, for both stages, a step without and with the reading of images beside it."""
    tf.config.experimental.enable_op_determinism()
    found, reader = {}, train_split(place)
    for name, stage in (("stage_one", recipe.resolved.stage_one), ("stage_two", recipe.resolved.stage_two)):
        make_batches = functools.partial(endless, reader, stage)
        train, forward = make_steps(recipe, stage, stage.fit.resolution, len(reader.classes))
        found[name] = time_steps(train, make_batches, steps_to_time)
        if forward is not None:
            found[f"frozen layers of {name}"] = time_steps(forward, make_batches, steps_to_time)
    return found


def make_steps(
    recipe: Recipe, stage: StageConfig, resolution: int, classes: int
) -> tuple[Callable[..., Any], Callable[..., Any] | None]:
    """Make the function of a training step, as the stage has it, and that of the frozen layers alone, if there are."""
    from thaw.tasks.training.model import build_classifier
    from thaw.tasks.training.thawing import thaw

    model = build_classifier(recipe.model, classes=classes, resolution=resolution, pretrained=False)
    thawed = thaw(model, stage, recipe.model.backbone)
    prefix = thawed.prefix
    forward = None if prefix is None else tf.function(lambda images: prefix(images, training=False))
    return make_train_step(recipe, stage, thawed), None if forward is None else lambda images, _: forward(images)


def make_train_step(recipe: Recipe, stage: StageConfig, thawed: "Thawed") -> Callable[..., Any]:
    """Make the function of a training step from what the thawed part takes and labels, as training makes it."""
    from thaw.tasks.training.optimizers import build_optimizer
    from thaw.tasks.training.step_functions import make_train_function

    train = make_train_function(
        thawed,
        build_optimizer(stage.optimizer, thawed.variables, recipe.precision),
        class_weights=np.ones(thawed.suffix.output_shape[-1], np.float32),
        label_smoothing=stage.label_smoothing,
        seed=0,
    )
    rate, number = tf.constant(stage.optimizer.learning_rate), tf.constant(0)
    return lambda images, labels: train(images, labels, rate, number)


def endless(reader: SplitReader, stage: StageConfig) -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
    return iter(batches_of_records(reader, stage, epochs=10**6))


def time_steps(work: Callable[..., Any], make_batches: Callable[[], Iterator[Any]], steps: int) -> dict[str, float]:
    """Time steps on one batch again and again, and then on batches that are read meanwhile.

    Args:
        work: Takes a batch.
        make_batches: Makes batches without an end.
        steps: How many to time of each.

    Returns:
        Seconds of a step alone, of one with reading beside it, and the share of the latter that is spent in waiting.
    """

    def step(batch: Any) -> None:
        tf.nest.flatten(work(*batch))[0].numpy()  # a GPU is waited for

    batch = next(make_batches())  # of an iterator that ends here, so that nothing is read beside the first loop
    for _ in range(_WARM_UP):
        step(batch)
    started = time.monotonic()
    for _ in range(steps):
        step(batch)
    alone, batches, waited = time.monotonic() - started, make_batches(), 0.0
    for _ in range(_WARM_UP):
        step(next(batches))
    started = time.monotonic()
    for _ in range(steps):
        asked = time.monotonic()
        batch = next(batches)
        waited += time.monotonic() - asked
        step(batch)
    together = time.monotonic() - started
    return {"alone": alone / steps, "with_reading": together / steps, "share_waiting": waited / together}


def main(
    kind: Kind,
    place: Annotated[Path, typer.Option(help="The folder that `prepare` fills.")],
    recipe: Annotated[str, typer.Option()],
    data: Annotated[Path, typer.Option(help="A folder of images.")],
    set_: Annotated[list[str] | None, typer.Option("--set")] = None,
    steps_to_time: int = 20,
) -> None:
    """Be one of the processes."""
    loaded = load_recipe(recipe, ("model.weights=null", *(set_ or ())), data=data)
    if kind is Kind.PREPARE:
        print(json.dumps(prepare(loaded, place)))
        return
    if kind is Kind.TRAINING:
        print(json.dumps(measure_waiting(loaded, place, steps_to_time)))
        return
    stage, reader = loaded.resolved.stage_one, train_split(place)
    resolution = stage.fit.resolution
    batches = {
        Kind.RECORDS: lambda: batches_of_records(reader, stage, EPOCHS),
        Kind.DIRECTORY: lambda: batches_of_directory(place, stage, resolution),
        Kind.TFDS: lambda: batches_of_tfds(place, stage, resolution),
    }[kind]()
    print(json.dumps({"seconds": seconds_of_epochs(batches, reader.examples)}))


if __name__ == "__main__":
    typer.run(main)
