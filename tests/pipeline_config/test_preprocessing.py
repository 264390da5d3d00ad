"""What happens to an image between its file and the network, as a recipe says it, without TensorFlow."""

import json

import pytest
from pydantic import ValidationError

from thaw.pipeline_config.backbones import BACKBONES
from thaw.pipeline_config.loading import load_recipe
from thaw.pipeline_config.preprocessing import Preprocessing, upgraded_input
from thaw.pipeline_config.stage_schema import StageConfig


@pytest.mark.parametrize("name", BACKBONES)
def test_a_resolution_that_is_left_out_is_the_backbones_own(name):
    recipe = load_recipe("digits", (f"model.backbone={name}", "stage_one.resolution=null", "stage_two.resolution=null"))
    own, resolved = BACKBONES[name].resolution, recipe.resolved
    assert (
        resolved.stage_one.resolution
        == resolved.stage_two.resolution
        == recipe.preprocessing_of("stage_two").resolution
        == own
    )
    written = (f"model.backbone={name}", f"stage_one.resolution={own}", f"stage_two.resolution={own}")
    assert load_recipe("digits", written).resolved == resolved


def test_the_value_says_all_that_a_release_does_with_a_file():
    overrides = (
        *("dataset.max_pixels=1234", "records.max_side=99", "stage_one.resolution=24", "stage_two.resolution=48"),
        "stage_two.augment=[{name: random_resized_crop}]",
    )
    assert load_recipe("digits", overrides).preprocessing_of("stage_two").model_dump() == {
        "max_pixels": 1234,
        "orientation": "exif",
        "max_side": 99,
        "center_crop": 224 / 256,
        "resolution": 48,
        "resize": "bilinear",
    }
    squeezed = load_recipe("digits", ("stage_one.resize_ratio=2.0",))  # stage one's crop is not the release's
    assert squeezed.preprocessing_of("stage_two").center_crop is None
    assert squeezed.preprocessing_of("stage_one").center_crop == 0.5
    assert squeezed.resolved.stage_one.fit.center_crop == 0.5


def test_an_older_release_says_less_and_its_model_expects_upright_images():
    older = {"resolution": 160, "center_crop": None}
    value = Preprocessing.model_validate_json(json.dumps(upgraded_input(older)))
    assert (value.resolution, value.center_crop, value.max_side) == (160, None, None)
    assert (value.max_pixels, value.orientation) == (50_000_000, "none")
    assert upgraded_input(value.model_dump()) == value.model_dump()


def test_a_stage_outside_of_a_recipe_has_no_fit_unless_it_has_a_resolution():
    document = {"train": "all", "epochs": 1, "optimizer": {"name": "sgd", "learning_rate": 0.1}}
    assert StageConfig.model_validate(document | {"resolution": 16}).fit.resolution == 16
    with pytest.raises(ValueError, match="once its recipe is resolved"):
        _ = StageConfig.model_validate(document).fit


@pytest.mark.parametrize("wrong", [{"center_crop": 0.0}, {"resolution": 0}, {"orientation": "sideways"}, {"more": 1}])
def test_a_value_that_makes_no_sense_is_refused(wrong):
    document = {"max_pixels": 10, "max_side": None, "center_crop": None, "resolution": 8}
    Preprocessing.model_validate(document)
    with pytest.raises(ValidationError):
        Preprocessing.model_validate(document | wrong)


def test_only_backbones_that_have_it_take_a_drop_connect_rate_and_imagenets_weights():
    for name, facts in BACKBONES.items():
        assert facts.has_drop_connect == name.startswith("EfficientNet")
        assert facts.has_imagenet_weights == (name != "SmallCNN")
