"""Whether keeping what the frozen layers put out pays: what decides, and in which direction."""

from typing import Any

import keras
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thaw.pipeline_config.backbones import BACKBONES
from thaw.pipeline_config.loading import load_recipe
from thaw.pipeline_config.stage_schema import StageConfig
from thaw.tasks.training.backbones import NETWORKS
from thaw.tasks.training.features.choice import DEFAULT_VIEWS, Cost, pays, possible_views, views_of
from thaw.tasks.training.features.prefix import count_multiplications

FLIP = [{"name": "random_flip"}]
PHOTOS = 1999
SMALL = ("SmallCNN", "MobileNetV2", "EfficientNetB0")


def stage(**settings: Any) -> StageConfig:
    document = {"train": "head", "epochs": 10, "optimizer": {"name": "adam", "learning_rate": 0.01}, "augment": FLIP}
    return StageConfig.model_validate(document | settings)


@pytest.mark.parametrize(
    ("settings", "views"),
    [
        ({}, DEFAULT_VIEWS),
        ({"epochs": 7}, 3),  # each view is used twice at least
        ({"epochs": 3}, 0),  # one view: every epoch would show the same pictures
        ({"epochs": 0}, 0),
        ({"train": "all"}, 0),
        ({"train": "all", "feature_views": 5}, 0),
        ({"augment": []}, 1),
        ({"augment": [{"name": "center_crop"}], "feature_views": 5}, 1),
        ({"feature_views": 0}, 0),
        ({"feature_views": 1}, 1),
        ({"feature_views": 30}, 10),
    ],
)
def test_the_number_of_views_follows_from_the_settings(settings: dict[str, Any], views: int) -> None:
    assert possible_views(stage(**settings)) == views


@pytest.mark.parametrize("name", ["stage_one", "stage_two"])
def test_the_tutorials_recipe_has_views_for_both_stages_and_the_digits_for_none(name: str) -> None:
    assert views_of(getattr(load_recipe("cats_dogs").resolved, name), "MobileNetV2", PHOTOS) == DEFAULT_VIEWS
    assert views_of(getattr(load_recipe("digits").resolved, name), "SmallCNN", 1255) == 0


def test_a_few_small_images_are_not_worth_a_step_unless_the_recipe_asks() -> None:
    small = {"resolution": 32, "epochs": 8}
    assert views_of(stage(**small), "SmallCNN", 100) == 0
    assert views_of(stage(**small), "SmallCNN", 1_000_000) == DEFAULT_VIEWS
    assert views_of(stage(**small, feature_views=2), "SmallCNN", 100) == 2


def test_the_tutorials_layers_pay_and_a_few_early_ones_do_not() -> None:
    assert pays(Cost(images=PHOTOS, views=4, row_bytes=19_200, frozen=84_000_000, thawed=69_000_000))
    early = Cost(images=PHOTOS, views=4, row_bytes=80 * 80 * 16 * 2, frozen=8_000_000, thawed=145_000_000)
    assert not pays(early)


@given(
    row_bytes=st.integers(1, 10**7),
    frozen=st.integers(0, 10**10),
    thawed=st.integers(0, 10**10),
    more=st.integers(0, 10**9),
)
def test_what_pays_still_pays_with_more_to_save_and_less_to_store(
    row_bytes: int, frozen: int, thawed: int, more: int
) -> None:
    cost = {"images": PHOTOS, "views": 4}
    if pays(Cost(row_bytes=row_bytes, frozen=frozen + 1, thawed=thawed + 1, **cost)):
        assert pays(Cost(row_bytes=row_bytes, frozen=frozen + 1 + more, thawed=thawed + 1, **cost))
        assert pays(Cost(row_bytes=max(row_bytes - more, 1), frozen=frozen + 1, thawed=thawed + 1, **cost))
        assert pays(Cost(row_bytes=row_bytes, frozen=frozen + 1, thawed=max(thawed - more, 0), **cost))


@pytest.mark.parametrize(
    "name", [name if name in SMALL else pytest.param(name, marks=pytest.mark.slow) for name in BACKBONES]
)
def test_the_multiplications_are_those_of_the_graph(name: str) -> None:
    keras.utils.clear_session()
    facts = BACKBONES[name]
    shape = (facts.resolution, facts.resolution, 3)
    model = NETWORKS[name].build(include_top=False, weights=None, input_shape=shape, name="backbone")
    assert count_multiplications(model.layers) == pytest.approx(facts.multiplications, rel=0.01)
