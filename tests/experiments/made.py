"""Made-up runs that look like real ones."""

import numpy as np

from thaw.tasks.evaluation.earned import STAGE_ONE, STAGE_ONE_AT_STAGE_TWO, STAGE_TWO
from thaw.tasks.experiments.measured_run import RELEASED, MeasuredRun, RunRow, StageCost


def make_run(recipe, seed, *, accuracy=0.9, images=200, seconds=100.0, peak=900_000_000, resolutions=(128, 224)):
    """A run in which each set of weights is right on its own share of the images."""
    random = np.random.default_rng([seed, *recipe.encode()])
    right = {
        name: random.random(images) < share
        for name, share in (
            (STAGE_ONE, accuracy - 0.2),
            (STAGE_ONE_AT_STAGE_TWO, accuracy - 0.1),
            (STAGE_TWO, accuracy),
        )
    }
    right[RELEASED] = right[STAGE_TWO]
    one, two = (
        StageCost(
            resolution=resolution,
            epochs=10,
            seconds=seconds * share + seed,
            images_per_second=1000 / share,
            peak_memory_bytes=peak,
        )
        for resolution, share in zip(resolutions, (0.4, 0.6), strict=True)
    )
    row = RunRow(
        recipe=recipe,
        seed=seed,
        test_images=images,
        accuracy=float(right[STAGE_TWO].mean()),
        loss=1 - accuracy + seed / 100,
        stage_one_accuracy=float(right[STAGE_ONE].mean()),
        stage_one_at_stage_two_accuracy=float(right[STAGE_ONE_AT_STAGE_TWO].mean()),
        stage_two_accuracy=float(right[STAGE_TWO].mean()),
        stage_one=one,
        stage_two=two,
        training_seconds=one.seconds + two.seconds,
        weights_sha256=f"{seed:064x}",
    )
    return MeasuredRun(row, tuple(f"{number:064x}" for number in range(images)), right)


def make_runs(recipes, seeds=(0, 1, 2), **options):
    return [
        make_run(recipe, seed, accuracy=0.9 - 0.15 * place, seconds=100.0 * (place + 1), **options)
        for place, recipe in enumerate(recipes)
        for seed in seeds
    ]
