"""What a recipe asks for that is not there is refused before the work that would come first."""

from pathlib import Path
from typing import Any

import pytest

from tests.support import WalkHere, small_recipe, write_pictures
from tests.training.features import place_for, stage
from thaw.flows.graph import PREPARATION
from thaw.pipeline_config.errors import RecipeError
from thaw.pipeline_config.schema import ModelConfig
from thaw.tasks.training.backbones import NETWORKS
from thaw.tasks.training.checks import check_class_weights
from thaw.tasks.training.model import build_classifier


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("checks") / "data", each=20)


@pytest.mark.parametrize("name", ["stage_one", "stage_two"])
def test_a_weight_for_a_class_that_is_not_there_is_refused_before_records_are_written(
    data: Path, tmp_path: Path, name: str
) -> None:
    walk = WalkHere(small_recipe(data, **{name: stage(class_weights={"rde": 2.0})}), tmp_path)
    with pytest.raises(RecipeError, match=rf"{name}\.class_weights: there is no class 'rde'.* Nearest: red\."):
        walk.go(PREPARATION)
    assert walk.ran == ["ingest"]


def test_a_floor_for_a_class_that_is_not_there_is_refused_as_early(data: Path, tmp_path: Path) -> None:
    walk = WalkHere(small_recipe(data, publish={"floors": {"recall": {"rde": 0.9}}}), tmp_path)
    with pytest.raises(RecipeError, match=r"publish\.floors\.recall: there is no class 'rde'.* Nearest: red\."):
        walk.go(PREPARATION)
    assert walk.ran == ["ingest"]


def test_of_many_classes_a_few_are_listed() -> None:
    settings = small_recipe(Path("data"), stage_one=stage(class_weights={"999": 2.0})).stage_one
    with pytest.raises(RecipeError, match="Expected some of 0, 1, 2, 3, 4, …") as raised:
        check_class_weights("stage_one", settings, [str(number) for number in range(900)])
    assert len(str(raised.value)) < 200


@pytest.mark.parametrize("views", [0, 2])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train": {"from_layer": "block3_a_cnov"}}, r"stage_two\.train\.from_layer: .* Nearest: block3_a_conv"),
        ({"train": {"last_blocks": 9}}, r"stage_two\.train\.last_blocks must be at most 3 for SmallCNN"),
    ],
)
def test_what_stage_two_asks_of_the_network_is_refused_before_stage_one_takes_its_time(
    data: Path, tmp_path: Path, views: int, change: dict[str, Any], message: str
) -> None:
    place = place_for(data, tmp_path, stage_one=stage(feature_views=views), stage_two=stage(feature_views=0, **change))
    first = (lambda: place.compute(place.features_one())) if views else (lambda: place.train(place.stage_one(None)))
    with pytest.raises(RecipeError, match=message):
        first()
    assert not (tmp_path / "checkpoints").exists()


def test_a_resolution_of_stage_two_that_the_network_cannot_take_is_refused_before_stage_one(
    data: Path, tmp_path: Path
) -> None:
    stages = {"stage_one": stage(resolution=32), "stage_two": stage(resolution=31)}
    place = place_for(data, tmp_path, model={"backbone": "MobileNetV2"}, **stages)
    with pytest.raises(RecipeError, match=r"stage_two\.resolution must be at least 32 for MobileNetV2. Received: 31"):
        place.train(place.stage_one(None))


@pytest.mark.parametrize("backbone", sorted(set(NETWORKS) - {"SmallCNN"}))  # no recipe asks it for less
def test_a_backbone_cannot_be_built_below_its_smallest_resolution(backbone: str) -> None:
    with pytest.raises(RecipeError, match="cannot be built"):
        build_classifier(
            ModelConfig(backbone=backbone), classes=2, resolution=NETWORKS[backbone].smallest - 1, pretrained=False
        )
