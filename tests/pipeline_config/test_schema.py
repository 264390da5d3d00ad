import pytest
from pydantic import ValidationError

from thaw.pipeline_config.dataset_schema import Cut
from thaw.pipeline_config.loading import load_recipe, parse_recipe
from thaw.pipeline_config.settings import Settings
from thaw.pipeline_config.strict import nearest

STAGE = "{{train: {train}, epochs: 1, optimizer: {{name: sgd, learning_rate: 0.1}}}}"


@pytest.mark.parametrize("train", ["all", "{from_layer: 100}", "{last_blocks: 2}"])
@pytest.mark.parametrize(
    ("weights", "stage", "expected"),
    [
        ("null", "stage_one", "train"),  # a network from scratch needs its statistics
        ("imagenet", "stage_one", "frozen"),
        ("null", "stage_two", "frozen"),  # starts from stage one's weights
        ("imagenet", "stage_two", "frozen"),
    ],
)
def test_batch_norm_is_frozen_wherever_weights_came_from_somewhere(train, weights, stage, expected):
    overrides = (f"{stage}={STAGE.format(train=train)}", f"model.weights={weights}")
    assert getattr(load_recipe("cats_dogs", overrides).resolved, stage).batch_norm == expected


def test_head_alone_leaves_batch_norm_frozen_even_from_scratch():
    overrides = (f"stage_one={STAGE.format(train='head')}", "model.weights=null")
    assert load_recipe("cats_dogs", overrides).resolved.stage_one.batch_norm == "frozen"


def test_last_batch_norm_adapts_its_statistics():
    overrides = (f"stage_two={STAGE.format(train='last_batch_norm')}",)
    assert load_recipe("cats_dogs", overrides).resolved.stage_two.batch_norm == "statistics"


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ((), ("train", "frozen")),
        (("stage_two.batch_norm=affine",), ("train", "affine")),
        (("stage_one.head_batch_norm=frozen", "stage_two.head_batch_norm=train"), ("frozen", "train")),
    ],
)
def test_the_heads_batch_norm_trains_where_it_is_new_and_follows_batch_norm_after(overrides, expected):
    recipe = load_recipe("cats_dogs", ("model.head_batch_norm=true", *overrides))
    assert (recipe.resolved.stage_one.head_batch_norm, recipe.resolved.stage_two.head_batch_norm) == expected


def test_without_a_batch_norm_in_the_head_its_mode_is_nothing():
    assert load_recipe("cats_dogs").resolved.stage_one.head_batch_norm is None


@pytest.mark.parametrize(
    ("augment", "ratio", "fraction"),
    [
        ("[]", None, None),
        ("[{name: random_resized_crop}]", None, 224 / 256),
        ("[{name: random_resized_crop}]", 1.0, 1.0),
        ("[{name: random_resized_crop}, {name: center_crop, fraction: 0.5}]", None, 0.5),
        ("[{name: random_flip}]", 1.75, 1 / 1.75),
    ],
)
def test_evaluation_crops_what_training_leaves_out_or_what_the_ratio_says(augment, ratio, fraction):
    overrides = (f"augment={augment}", f"stage_two.resize_ratio={'null' if ratio is None else ratio}")
    recipe = load_recipe("cats_dogs", overrides)
    crops = [operation for operation in recipe.resolved.stage_two.augment or [] if operation.name == "center_crop"]
    assert [crop.fraction for crop in crops] == ([] if fraction is None else [fraction])
    assert parse_recipe(recipe.model_dump(mode="json", by_alias=True)) == recipe


def test_stated_batch_norm_is_kept():
    assert load_recipe("cats_dogs", ("stage_two.batch_norm=affine",)).stage_two.batch_norm == "affine"


def test_stage_takes_the_recipes_augmentations_unless_it_has_its_own():
    recipe = load_recipe("cats_dogs", ("stage_two.augment=[]",))
    assert recipe.resolved.stage_one.augment == recipe.augment
    assert len(recipe.augment) == 2
    assert recipe.resolved.stage_two.augment == []


def test_both_ends_of_the_random_crops_ranges_can_be_chosen():
    crop = load_recipe("cats_dogs", ("augment=[{name: random_resized_crop, area: [0.5, 1], aspect_ratio: [1, 1]}]",))
    assert crop.augment[0].model_dump() == {
        "name": "random_resized_crop",
        "area": (0.5, 1.0),
        "aspect_ratio": (1.0, 1.0),
    }


def test_splits_that_are_not_named_are_cut_from_train():
    splits = load_recipe("digits").dataset.splits
    assert splits.train == "train"
    assert splits.validation == splits.test == Cut(from_="train", fraction=0.15)


def test_two_cuts_from_one_split_may_not_empty_it_but_may_come_close():
    overrides = tuple(f"dataset.splits.{name}={{from: train, fraction: 0.49}}" for name in ("validation", "test"))
    assert load_recipe("digits", overrides).dataset.splits.test == Cut(from_="train", fraction=0.49)


@pytest.mark.parametrize(("part", "key"), [("", "seed"), ("stage_one", "epochs")])
def test_recipe_cannot_be_changed(part, key):
    recipe = load_recipe("digits")
    with pytest.raises(ValidationError, match="frozen"):
        setattr(getattr(recipe, part) if part else recipe, key, 3)


def test_utc_needs_no_database_of_time_zones(monkeypatch):
    monkeypatch.setattr("thaw.pipeline_config.schedule_schema.available_timezones", set)
    schedule = load_recipe("digits", ("schedule={cron: 0 3 * * 1}",)).schedule
    assert schedule is not None
    assert schedule.timezone == "UTC"


@pytest.mark.parametrize(
    ("word", "expected"),
    [("epoch", "epochs"), ("EPOCHS", "epochs"), ("bach_size", "batch_size"), ("zzz", ""), ("", "")],
)
def test_nearest_name_ignores_case_and_stays_silent_where_nothing_is_near(word, expected):
    assert nearest(word, ["epochs", "batch_size", "optimizer"]) == expected
    assert nearest(word, []) == ""


def test_home_comes_from_the_environment(monkeypatch, tmp_path):
    monkeypatch.delenv("THAW_HOME", raising=False)
    assert str(Settings().home) == ".thaw"
    monkeypatch.setenv("THAW_HOME", "")
    assert str(Settings().home) == ".thaw"
    monkeypatch.setenv("THAW_HOME", str(tmp_path))
    assert Settings().home == tmp_path
