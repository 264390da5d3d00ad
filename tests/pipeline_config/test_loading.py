import copy
import json
import math
import os
import re
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from thaw.pipeline_config.dataset_schema import CsvSource, Cut, DirectorySource
from thaw.pipeline_config.errors import RecipeError
from thaw.pipeline_config.loading import load_recipe, load_recipes, parse_recipe, recipe_summary, shipped_recipes
from thaw.pipeline_config.stage_schema import FromLayer
from thaw.pipeline_config.yaml_dialect import write_yaml

SHIPPED = list(shipped_recipes())
ALIAS_BOMB = b"a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + b"".join(
    b"a%d: &a%d [%s]\n" % (number, number, b", ".join(9 * [b"*a%d" % (number - 1)])) for number in range(1, 20)
)


@pytest.fixture
def recipe_file(tmp_path):
    """A valid recipe in a folder of its own; called with the changes to make in its text."""

    def write(*changes: tuple[str, str]) -> Path:
        text = shipped_recipes()["cats_dogs"].read_text(encoding="utf-8")
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path: Path = tmp_path / "mine.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


# --------------------------------------------------------------------------------------------------- recipes that ship


def test_digits_and_cats_dogs_ship_in_alphabetical_order():
    assert {"cats_dogs", "digits"} <= set(SHIPPED)
    assert sorted(SHIPPED) == SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_recipe_loads_and_is_named_after_its_file(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    for stage in (recipe.resolved.stage_one, recipe.resolved.stage_two):
        assert stage.batch_norm is not None
        assert stage.augment is not None


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_recipe_opens_with_a_line_that_says_what_to_expect_and_what_to_type(name):
    summary = recipe_summary(name)
    assert not summary.startswith("#")
    assert "Expect test accuracy" in summary
    assert f"thaw run {name}" in summary


@pytest.mark.parametrize("name", SHIPPED)
def test_resolved_recipe_survives_json_and_yaml(name):
    recipe = load_recipe(name)
    document = recipe.model_dump(mode="json", by_alias=True)
    assert parse_recipe(json.loads(json.dumps(document))) == recipe
    assert parse_recipe(document) == recipe
    assert parse_recipe(yaml.safe_load(yaml.safe_dump(document))) == recipe


@pytest.mark.parametrize("name", SHIPPED)
def test_resolved_recipe_survives_a_file(name, tmp_path):
    recipe = load_recipe(name)
    (tmp_path / "again.yaml").write_text(write_yaml(recipe.model_dump(mode="json", by_alias=True)), encoding="utf-8")
    assert load_recipe(str(tmp_path / "again.yaml")) == recipe


def test_recipe_with_every_kind_of_setting_survives_json_and_yaml(tmp_path):
    recipe = load_recipe(
        "cats_dogs",
        (
            "augment=[{name: random_resized_crop, area: [0.3, 0.9]}, {name: center_crop, fraction: 0.875},"
            " {name: random_flip}, {name: random_translation, height: 0.1, width: 0.2, fill: constant},"
            " {name: random_zoom, factor: 0.1}, {name: random_contrast, factor: 0.1}]",
            "stage_one.class_weights={no: 1.5, '1e5': 2, 'true': 1, '010': 1, '': 1, '2024-01-01': 1, é: 1}",
            "stage_one.early_stopping.patience=2",
            "stage_two.train.from_layer='1e5'",
            "stage_two.optimizer={name: adamw, learning_rate: 1e-5, weight_decay: 0}",
            "stage_two.augment=[]",
            "dataset.splits.validation={from: test, fraction: 0.5}",
            "dataset.splits.test=test",
            "dataset.source={kind: directory, path: '1e5'}",
            "schedule={cron: 0 3 * * 1, timezone: Europe/Paris}",
        ),
    )
    assert recipe.resolved.stage_two.train == FromLayer(from_layer="1e5")
    document = recipe.model_dump(mode="json", by_alias=True)
    assert parse_recipe(json.loads(json.dumps(document))) == recipe
    (tmp_path / "again.yaml").write_text(write_yaml(document), encoding="utf-8")
    assert load_recipe(str(tmp_path / "again.yaml")) == recipe


# ----------------------------------------------------------------------------------------------------- recipes in files


def test_unknown_recipe_names_those_that_ship_and_the_nearest():
    with pytest.raises(RecipeError, match=r"^There is no recipe 'digit'\. Expected one of .*, or the path") as caught:
        load_recipe("digit")
    assert str(caught.value).endswith("Nearest: digits.")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: .*No such file"),
        (b"a: [", "is not valid YAML: .*line 1"),
        (b"a: \xff\xfe", "cannot be read: .*utf-8"),
        (b"a: \x00", "is not valid YAML"),
        (b"", "must be a mapping of keys to values. Received: NoneType"),
        (b"- 1", "must be a mapping of keys to values. Received: list"),
        (b"a: 1\nb: 2\na: 1\n", "Key 'a' stands twice in one place, at line 1"),
        (b"a: !!python/object/apply:os.system [echo]", "is not valid YAML"),
        (b"a: " + 9999 * b"9", "is not valid YAML: .*digits"),
        (b"a: 0x" + 9999 * b"9", "is not valid YAML: .*digits"),
        (ALIAS_BOMB, "is not valid YAML: it has more than 30000 values"),
        (
            b"".join(b"k%d: 1\n" % number for number in range(30_000)),
            "is not valid YAML: it has more than 30000 values",
        ),
        (b"".join(b"k%d: 1\n" % number for number in range(14_000)), "k0 is not a key of the recipe"),
        (b"{" * 400_000, "is not valid YAML: it is nested more than 100 deep"),
        (b"- " * 200_000, "is not valid YAML: it is nested more than 100 deep"),
        (b"a: " + 600_000 * b"x", "is not valid YAML: it has more than 500000 characters"),
        (10_000_000 * b"\n", "is not valid YAML: it has more than 500000 characters"),
        (b"!!timestamp 1", "is not valid YAML: could not determine a constructor"),
        (b"a: !!bool 1", "is not valid YAML: found '1' as tag:yaml.org,2002:bool"),
        (b'a: "\\ud800"', "^The recipe: Invalid JSON: .*hex escape at line 1 column 14\\.$"),
        (b"dataset: {source: {kind: parquet, path: [" + 20_000 * b"1," + b"]}}", "There are more mistakes."),
        (b"? " + b"x" * 5000 + b"\n: 1", "^xxx.* … xxx.* is not a key of the recipe"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_file_that_is_no_recipe_is_one_line(tmp_path, content, message):
    path = tmp_path / "bad.yaml"
    if content is not None:
        path.write_bytes(content)
    started = time.process_time()
    with pytest.raises(RecipeError, match=message) as caught:
        load_recipe(str(path))
    assert time.process_time() - started < 5
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_has_no_end_is_not_read(tmp_path, kind):
    path = tmp_path / "endless.yaml"
    os.mkfifo(path) if kind == "pipe" else path.symlink_to("/dev/zero")
    with pytest.raises(RecipeError, match=r"endless\.yaml cannot be read: it is no file\.$"):
        load_recipe(str(path))


def test_folder_in_place_of_a_file_is_refused(tmp_path):
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(RecipeError, match="cannot be read"):
        load_recipe(str(tmp_path / "folder.yaml"))


def test_key_that_stands_twice_deep_inside_is_refused_with_its_line(recipe_file):
    path = recipe_file(("model: {", "model:\n  dropout: 0.1\n  dropout: 0.1\n#"))
    with pytest.raises(RecipeError, match=r"Key 'dropout' stands twice in one place, at line \d+") as caught:
        load_recipe(str(path))
    line = int(re.findall(r"line (\d+)", str(caught.value))[0])
    assert "dropout" in path.read_text().splitlines()[line - 1]


def test_paths_of_a_recipe_file_are_relative_to_it(recipe_file, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    recipe_file(("imagenet", "weights/mine.h5"))
    recipe = load_recipe("../mine.yaml", ("dataset.source={kind: directory, path: photos}",))
    assert isinstance(recipe.dataset.source, DirectorySource)
    assert Path(recipe.dataset.source.path).is_absolute()
    assert Path(recipe.dataset.source.path).resolve() == tmp_path.resolve() / "photos"
    expected = tmp_path.resolve() / "weights" / "mine.h5"
    assert Path(recipe.model.first_weights or "").resolve() == expected
    recipe_file(("imagenet", "{champion: {otherwise: weights/mine.h5}}"))
    assert Path(load_recipe("../mine.yaml").model.first_weights or "").resolve() == expected


def test_paths_of_a_shipped_recipe_are_relative_to_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = load_recipe("cats_dogs", ("dataset.source={kind: directory, path: my/images}",))
    assert isinstance(recipe.dataset.source, DirectorySource)
    assert Path(recipe.dataset.source.path) == Path.cwd() / "my" / "images"
    assert recipe.model.weights == "imagenet"


def test_path_of_a_table_is_relative_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = load_recipe("digits", ("dataset.source={kind: csv, path: a.csv, path_column: a, label_column: b}",))
    assert isinstance(recipe.dataset.source, CsvSource)
    assert Path(recipe.dataset.source.path) == Path.cwd() / "a.csv"


def test_absolute_paths_and_home_folders_stay_what_they_are(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    recipe = load_recipe(
        "cats_dogs", ("dataset.source={kind: directory, path: ~/images}", f"model.weights={tmp_path}/w.h5")
    )
    assert isinstance(recipe.dataset.source, DirectorySource)
    assert recipe.dataset.source.path == str(tmp_path / "home" / "images")
    assert recipe.model.weights == str(tmp_path / "w.h5")


# ------------------------------------------------------------------------------------------------------------ overrides


def test_override_changes_one_value_and_nothing_else():
    before, after = load_recipe("digits"), load_recipe("digits", ("stage_two.epochs=3",))
    assert after.stage_two.epochs == 3
    changed = copy.deepcopy(before.model_dump())
    changed["stage_two"]["epochs"] = 3
    assert after.model_dump() == changed


def test_overrides_reach_list_items_by_index():
    recipe = load_recipe("digits", ("augment.1.height=0.25", "augment.0={name: random_flip, mode: vertical}"))
    assert [operation.name for operation in recipe.augment] == ["random_flip", "random_translation"]
    assert recipe.augment[1].model_dump()["height"] == 0.25
    assert recipe.resolved.stage_one.augment == recipe.augment


def test_override_of_a_part_that_the_recipe_leaves_out_begins_it():
    recipe = load_recipe("digits", ("stage_one.early_stopping.patience=2", "execution.retries=0"))
    assert recipe.resolved.stage_one.early_stopping is not None
    assert recipe.resolved.stage_one.early_stopping.patience == 2
    assert recipe.execution.retries == 0


def test_override_of_a_short_form_takes_its_place():
    recipe = load_recipe("digits", ("stage_one.train.from_layer=4",))
    assert recipe.resolved.stage_one.train == FromLayer(from_layer=4)


def test_later_override_wins():
    assert load_recipe("digits", ("seed=1", "seed=2")).seed == 2


def test_value_may_hold_an_equals_sign():
    recipe = load_recipe("cats_dogs", ("dataset.source={kind: directory, path: /a=b/c}",))
    assert isinstance(recipe.dataset.source, DirectorySource)
    assert recipe.dataset.source.path == "/a=b/c"


def test_item_of_an_empty_list_has_no_place():
    with pytest.raises(RecipeError, match="the list is empty"):
        load_recipe("digits", ("augment=[]", "augment.0.factor=0.1"))


def test_data_takes_the_place_of_the_source_whatever_it_was(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("digits", "cats_dogs"):
        recipe = load_recipe(name, data=Path("photos"))
        assert recipe.dataset.source == DirectorySource(kind="directory", path=str(Path.cwd() / "photos"))
    assert load_recipe("cats_dogs", data=Path("photos")).dataset.splits.test == Cut(from_="validation", fraction=0.2)


def test_data_and_weights_are_relative_to_the_current_folder_even_for_a_recipe_elsewhere(
    recipe_file, tmp_path, monkeypatch
):
    path = recipe_file()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    recipe = load_recipe(str(path), data=Path("photos"), weights=Path("w.h5"))
    assert recipe.dataset.source == DirectorySource(kind="directory", path=str(Path.cwd() / "photos"))
    assert recipe.model.weights == str(Path.cwd() / "w.h5")


def test_data_wins_over_an_override_of_the_source():
    recipe = load_recipe("cats_dogs", ("dataset.source={kind: directory, path: /a}",), data=Path("/b"))
    assert recipe.dataset.source == DirectorySource(kind="directory", path="/b")


def test_weights_take_the_place_of_those_that_the_recipe_starts_from():
    assert load_recipe("cats_dogs", weights=Path("/w.h5")).model.weights == "/w.h5"
    override = ("model.weights=other.h5",)
    assert load_recipe("digits", override, weights=Path("/w.h5")).resolved.stage_one.batch_norm == "frozen"


@pytest.mark.parametrize(
    ("written", "otherwise"),
    [
        ("champion", "/w.h5"),
        ("{champion: {}}", "/w.h5"),
        ("{champion: {otherwise: x.h5, shrink: 0.4}}", "/w.h5"),
    ],
)
def test_weights_are_what_a_recipe_starts_from_that_has_no_champion_yet(written, otherwise):
    model = load_recipe("cats_dogs", (f"model.weights={written}",), weights=Path("/w.h5")).model
    assert model.first_weights == otherwise
    assert model.champion is not None
    assert model.champion.shrink == (0.4 if "shrink" in written else 1)


def test_without_a_word_the_first_weights_are_imagenets_where_the_backbone_has_any():
    for recipe, expected in (("cats_dogs", "imagenet"), ("digits", None)):
        for written in ("champion", "{champion: {shrink: 0.4, perturb: 0.1}}"):
            loaded = load_recipe(recipe, (f"model.weights={written}",))
            assert loaded.model.first_weights == expected
            resolved = loaded.resolved
            assert resolved.model.champion is not None
            assert resolved.model.champion.otherwise == expected
            assert parse_recipe(resolved.model_dump(mode="json", by_alias=True)).resolved == resolved
            assert resolved.stage_one == load_recipe(recipe).resolved.stage_one


@pytest.mark.parametrize("names", [["digits"], ["digits", "flowers_fixres"]])
def test_weights_for_recipes_that_all_start_from_random_ones_are_refused(names):
    with pytest.raises(RecipeError, match=rf"^--weights has no use for {', '.join(names)}, .* model\.weights is null"):
        load_recipes(names, weights=Path("/w.h5"))


def test_of_several_recipes_those_get_the_weights_that_have_a_use_for_them():
    one, other = load_recipes(["digits", "cats_dogs"], weights=Path("/w.h5"))
    assert (one.model.weights, other.model.weights) == (None, "/w.h5")


def test_data_for_a_recipe_whose_dataset_is_no_mapping_is_refused(recipe_file):
    path = recipe_file(("dataset:\n", "dataset: 3\nunused:\n"))
    with pytest.raises(RecipeError, match=r"^dataset must be a mapping"):
        load_recipe(str(path), data=Path("/b"))


@pytest.mark.parametrize(
    ("text", "value"), [("1e-4", 1e-4), ("1E-4", 1e-4), ("+1e-4", 1e-4), (".5e-3", 5e-4), ("1.e-3", 1e-3), ("1", 1.0)]
)
def test_numbers_are_read_as_yaml_1_2_has_them(text, value):
    recipe = load_recipe("digits", (f"stage_one.optimizer.learning_rate={text}",))
    assert recipe.resolved.stage_one.optimizer.learning_rate == value


@given(st.floats(min_value=0, exclude_min=True, max_value=1e6))
def test_any_learning_rate_survives_the_round_trip_through_an_override(rate):
    recipe = load_recipe("digits", (f"stage_one.optimizer.learning_rate={rate!r}",))
    assert recipe.resolved.stage_one.optimizer.learning_rate == rate
    again = parse_recipe(json.loads(json.dumps(recipe.model_dump(mode="json", by_alias=True))))
    assert again == recipe


@given(st.floats(min_value=0, max_value=1, exclude_max=True), st.sampled_from(["{!r}", "{:.17e}", "{:.3E}", "{:.20f}"]))
def test_any_share_in_any_notation_is_the_number_that_python_reads(share, notation):
    text = notation.format(share)
    assume(float(text) < 1)
    assert math.isclose(load_recipe("digits", (f"model.dropout={text}",)).model.dropout, float(text), abs_tol=0)


@given(st.integers(0, 2**31 - 1))
def test_any_seed_survives(seed):
    assert load_recipe("digits", (f"seed={seed}",)).seed == seed


@given(st.text(min_size=1, alphabet=st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])))
def test_any_path_survives_an_override_in_quotes(path):
    assume(not path.startswith("~") and "://" not in path)
    recipe = load_recipe("cats_dogs", (f"dataset.source={{kind: directory, path: {json.dumps(path)}}}",))
    assert isinstance(recipe.dataset.source, DirectorySource)
    assert recipe.dataset.source.path == str(Path.cwd() / path)


def test_a_recipe_that_is_written_out_edited_and_read_again_means_what_it_says(tmp_path):
    recipe = load_recipe("digits", ("stage_one.epochs=3",))
    document = recipe.as_written()
    assert "augment" not in document["stage_one"]  # it was not written there
    assert parse_recipe(document) == recipe
    document["augment"] = []
    assert parse_recipe(document).resolved.stage_one.augment == []
    document["model"]["weights"] = "/w.h5"
    assert parse_recipe(document).resolved.stage_one.batch_norm == "frozen"


def test_resolving_a_resolved_recipe_changes_nothing():
    for name in shipped_recipes():
        resolved = load_recipe(name).resolved
        assert resolved.resolved == resolved
