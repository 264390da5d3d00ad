"""The least time that a recipe's arithmetic takes on this machine: what the network does, and nothing around it.

The frozen layers run once for each image and view, the thawed ones in every epoch, forward and backward for training
images, and forward for validation. How many images a second the bare functions do is measured on one batch of noise
again and again, with no reading, no Prefect, no files and no start of a process. Run by whole_job.py; prints one line
of JSON.

    python -m benchmarks.limit cats_dogs --weights FILE --train 1999 --validation 813
"""

import functools
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import keras
import tensorflow as tf
import typer

from benchmarks.input_readers import make_train_step
from thaw.flows.requests import one_pass_does
from thaw.pipeline_config.loading import load_recipe
from thaw.pipeline_config.schema import Recipe
from thaw.pipeline_config.stage_schema import StageConfig
from thaw.tasks.training.features.choice import views_of
from thaw.tasks.training.features.prefix import Compute, find_frozen_output, frozen_models
from thaw.tasks.training.features.work import IMAGES_AT_A_TIME
from thaw.tasks.training.model import build_classifier
from thaw.tasks.training.step_functions import make_measure_function
from thaw.tasks.training.thawing import Thawed, thaw

_WARM_UP = 3  # calls, in which functions are traced
_SECONDS_OF_TIMING = 4.0


def images_a_second(work: Callable[[], Any], images: int) -> float:
    """Time a function.

    Args:
        work: Does one batch.
        images: In the batch.

    Returns:
        Images a second.
    """
    for _ in range(_WARM_UP):
        tf.nest.flatten(work())[0].numpy()
    started, calls = time.monotonic(), 0
    while time.monotonic() - started < _SECONDS_OF_TIMING:
        tf.nest.flatten(work())[0].numpy()  # a GPU is waited for
        calls += 1
    return images * calls / (time.monotonic() - started)


def noise(shape: list[int], images: int) -> tf.Tensor:
    return tf.random.stateless_uniform([images, *shape], [0, 0], 0.0, 255.0)


def stage_rates(recipe: Recipe, stage: StageConfig, thawed: Thawed) -> dict[str, float]:
    """Measure the layers that learn: images a second of a training step, and of validation."""
    rows = noise(list(thawed.suffix.input_shape[1:]), stage.batch_size)
    labels = tf.zeros([stage.batch_size], tf.int32)
    functions = {"training": make_train_step(recipe, stage, thawed), "validation": make_measure_function(thawed)}
    return {
        name: images_a_second(functools.partial(function, rows, labels), stage.batch_size)
        for name, function in functions.items()
    }


def passes(recipe: Recipe) -> Iterator[tuple[str, list[str]]]:
    """Say which passes through frozen layers there are: one for both stages where they see the same pictures."""
    if one_pass_does(recipe):
        yield "frozen layers of both stages", ["stage_one", "stage_two"]
    else:
        yield from ((f"frozen layers of {name}", [name]) for name in ("stage_one", "stage_two"))


def measure_limit(recipe: Recipe, train: int, validation: int) -> dict[str, Any]:
    """Measure the parts, and add them up.

    Args:
        recipe: Says what is frozen, how many views and epochs there are, and how large batches are.
        train: Training images.
        validation: Validation images.

    Returns:
        The seconds of the parts and of all, and the images a second.
    """
    tf.config.experimental.enable_op_determinism()  # as in a run
    seconds: dict[str, float] = {}
    rates: dict[str, float] = {}
    stages = {"stage_one": recipe.resolved.stage_one, "stage_two": recipe.resolved.stage_two}
    backbone = recipe.model.backbone
    for name, served in passes(recipe):
        resolution = stages[served[0]].fit.resolution
        model = build(recipe, resolution)
        found = [find_frozen_output(model, backbone, stage, stages[stage].train) for stage in served]
        frozen = [each for each in found if each is not None and each.multiplications]
        if frozen:
            computes = [Compute(each) for each in frozen_models(model, frozen)]
            images = noise([resolution, resolution, 3], IMAGES_AT_A_TIME)
            rates[name] = images_a_second(functools.partial(compute_all, computes, images), IMAGES_AT_A_TIME)
            of_stages = [stages[each.name] for each in frozen]
            # Without a cache, there is one view in every epoch.
            views = max(views_of(stage, backbone, train) or stage.epochs for stage in of_stages)
            seconds[name] = (train * views + validation) / rates[name]
    for name, stage in stages.items():
        thawed = thaw(build(recipe, stage.fit.resolution), stage, recipe.model.backbone)
        of_stage = stage_rates(recipe, stage, Thawed(None, thawed.suffix, thawed.variables, []))
        rates |= {f"{name}, {part}": rate for part, rate in of_stage.items()}
        seconds[f"layers that learn in {name}"] = (
            stage.epochs * train / of_stage["training"] + (stage.epochs + 1) * validation / of_stage["validation"]
        )
    return {"seconds": sum(seconds.values()), "parts": seconds, "images_per_second": rates}


def compute_all(computes: Sequence[Compute], images: tf.Tensor) -> list[dict[str, tf.Tensor]]:
    return [compute(images) for compute in computes]


def build(recipe: Recipe, resolution: int) -> keras.Model:
    keras.utils.clear_session()
    return build_classifier(recipe.model, classes=2, resolution=resolution, pretrained=True)


def main(
    recipe: str,
    train: Annotated[int, typer.Option(min=1, help="Training images.")],
    validation: Annotated[int, typer.Option(min=1, help="Validation images.")],
    data: Annotated[Path | None, typer.Option(help="As for thaw run.")] = None,
    weights: Annotated[Path | None, typer.Option(help="As for thaw run.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="As for thaw run.")] = None,
) -> None:
    """Measure the least time that a recipe takes here."""
    loaded = load_recipe(recipe, tuple(set_ or ()), data=data, weights=weights)
    print(json.dumps(measure_limit(loaded, train, validation)))


if __name__ == "__main__":
    typer.run(main)
