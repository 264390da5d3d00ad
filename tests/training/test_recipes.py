"""Every recipe that ships: how large its network is, what each stage teaches of it, and that a tiny run of it works."""

from pathlib import Path

import keras
import numpy as np
import pytest

from tests.support import WalkHere, write_pictures
from thaw.flows.graph import EXPERIMENT, PREPARATION
from thaw.pipeline_config.loading import load_recipe, shipped_recipes
from thaw.tasks.training.model import build_classifier
from thaw.tasks.training.stage_facts import StageFacts
from thaw.tasks.training.thawing import thaw

# Recipe: classes, parameters, and (numbers, tensors) that learn in stage one and in stage two.
SIZES: dict[str, tuple[int, int, tuple[int, int], tuple[int, int]]] = {
    # The tutorial has one logit: 2,259,265, of which 1,281 learn and then 1,862,721 in 56 tensors under `affine`.
    "cats_dogs": (2, 2_260_546, (2_562, 2), (1_842_178, 20)),
    "cifar100": (100, 4_182_791, (130_660, 4), (1_249_684, 10)),
    "digits": (10, 289_642, (288_746, 20), (288_746, 20)),
    "flowers_fixres": (5, 23_575_045, (23_529_605, 174), (10_245, 2)),
    "flowers_fixres_small": (5, 288_997, (288_101, 20), (645, 2)),
    "flowers_vanilla": (5, 23_575_045, (23_529_605, 174), (10_245, 2)),
    "flowers_vanilla_small": (5, 288_997, (288_101, 20), (645, 2)),
    "food101": (101, 4_184_072, (131_941, 4), (1_250_965, 10)),
    "stanford_dogs": (120, 4_208_411, (156_280, 4), (1_275_304, 10)),
    # The example's 4,203,291, of which 42,023 do not learn.
    "stanford_dogs_from_scratch": (120, 4_203_291, (4_161_268, 213), (153_720, 2)),
}
TINY = ("model.weights=null", "stage_one.batch_size=8", "stage_two.batch_size=8", "dataset.splits={}")


def test_every_recipe_is_here() -> None:
    assert set(SIZES) == set(shipped_recipes())


@pytest.mark.parametrize("name", SIZES)
def test_a_recipe_has_the_parameters_that_its_source_has(name: str) -> None:
    recipe = load_recipe(name)
    classes, parameters, *learning = SIZES[name]
    # The number of parameters does not depend on the resolution.
    model = build_classifier(recipe.model, classes=classes, resolution=32, pretrained=False)
    assert model.count_params() == parameters
    learned = []
    for stage in (recipe.resolved.stage_one, recipe.resolved.stage_two):
        variables = thaw(model, stage, recipe.model.backbone).variables
        learned.append((sum(int(np.prod(variable.shape)) for variable in variables), len(variables)))
    assert learned == learning
    keras.utils.clear_session()


@pytest.mark.slow
@pytest.mark.parametrize("name", SIZES)
def test_a_tiny_run_of_a_recipe_goes_to_the_test_split(name: str, tmp_path: Path) -> None:
    resolutions = {"SmallCNN": (16, 24)}
    one, two = resolutions.get(load_recipe(name).model.backbone, (32, 64))
    data = write_pictures(tmp_path / "data", each=14, size=40)
    epochs = [
        f"{stage}.epochs={min(getattr(load_recipe(name), stage).epochs, 1)}" for stage in ("stage_one", "stage_two")
    ]
    overrides = (*TINY, *epochs, f"stage_one.resolution={one}", f"stage_two.resolution={two}")
    recipe = load_recipe(name, overrides, data=data)
    walk = WalkHere(recipe, tmp_path / "home")
    walk.go((*PREPARATION, *EXPERIMENT))
    facts = [walk.home.store.facts(walk.made[stage], StageFacts) for stage in ("stage_one", "stage_two")]
    assert [fact.fit.resolution for fact in facts] == [one, two]
    assert all(np.isfinite(fact.val_loss) for fact in facts)
