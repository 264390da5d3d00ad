"""The model card: metadata that hubs read, and what it says."""

import html
import re

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.publishing.helpers import verdict_of
from tests.report.synthetic import make_parts, make_tested
from thaw.pipeline_config.loading import load_recipe
from thaw.pipeline_config.schema import Recipe
from thaw.tasks.formats.members import chosen
from thaw.tasks.publishing.model_card import CardFacts, write_card
from thaw.tasks.releases.abstention import Abstention, Answered
from thaw.tasks.releases.release import Release
from thaw.tasks.releases.verdict import TestMetrics as Metrics

DIGEST = "0123456789abcdef" * 4
DIGITS = load_recipe(
    "digits", ("stage_two.train={last_blocks: 2}", "stage_two.optimizer={name: sgd, learning_rate: 3e-4}")
)


def facts(recipe: Recipe, classes=("cat", "dog"), **changes) -> CardFacts:
    test = Metrics(examples=200, accuracy=0.985, accuracy_ci=(0.9569, 0.9949))
    release = Release(
        id="digits-012345678901",
        recipe="digits",
        verdict="first",
        compared_with=None,
        evaluation=DIGEST,
        classes=list(classes),
        input=recipe.preprocessing_of("stage_two"),
        test=test,
        made_from={"dataset": {"kind": "dataset", "digest": DIGEST}},
        libraries={"python": "3.11.7", "keras": "3.15.1"},
        thaw="0.1.0",
    )
    score = {"examples": 100, "precision": 1.0, "recall": 0.97, "f1": 0.985}
    stage = {
        "fit": {"resolution": 24},
        "epochs": 6,
        "kept_epoch": 5,
        "val_accuracy": 0.98,
        "before": {"val_accuracy": 0.9},
    }
    values = {
        "release": release,
        "recipe": recipe,
        "verdict": verdict_of(test, None, None, 0.0),
        "metrics": {
            "confidence": 0.95,
            "loss": 0.05,
            "expected_calibration_error": 0.0123,
            "temperature": 1.37,
            "uncalibrated": {"loss": 0.07, "expected_calibration_error": 0.0456},
            "per_class": [{"class": name, **score} for name in classes],
        },
        "tested": make_tested(["cat", "dog"]),
        "counts": {split: dict.fromkeys(classes, 9) for split in ("train", "validation", "test")},
        "stages": [{"name": name, **stage} for name in ("stage_one", "stage_two")],
        "formats": chosen(recipe.publish.formats),
        "choice": "",
    }
    return CardFacts(**{**values, **changes})


def metadata(card: str):
    assert card.startswith("---\n")
    return yaml.safe_load(card.split("---\n")[1])


def test_the_metadata_block_has_the_structure_of_the_hubs_specification():
    block = metadata(write_card(facts(DIGITS)))
    assert block["library_name"] == "keras"
    assert block["pipeline_tag"] == "image-classification"
    assert {"image-classification", "keras"} <= set(block["tags"])
    assert block["metrics"] == ["accuracy"]
    assert "license" not in block
    (model,) = block["model-index"]
    (result,) = model["results"]
    assert model["name"] == "digits-012345678901"
    assert result["task"]["type"] == "image-classification"
    assert result["dataset"] == {"name": "digits (digits)", "type": "digits", "split": "test"}
    assert result["metrics"] == [{"type": "accuracy", "name": "Test accuracy", "value": 0.985}]


def test_the_card_states_accuracy_interval_stages_and_origins():
    card = write_card(facts(DIGITS))
    assert "| accuracy | 0.9850 |" in card
    assert "| 95 % interval of the accuracy (Wilson) | 0.9569 to 0.9949 |" in card
    assert "| stage_two | 24 px | the last 2 blocks and the head | 6 | 5 | sgd, 0.0003 | 0.9000 | 0.9800 |" in card
    assert "| cat | 100 | 1.0000 | 0.9700 | 0.9850 |" in card
    assert "| dog | 9 | 9 | 9 |" in card
    assert f"| dataset | dataset | `{DIGEST}` |" in card
    assert "python 3.11.7, keras 3.15.1." in card
    assert "EXIF" in card
    assert "top-5" not in card


def test_the_card_says_what_each_stage_earned():
    tested = make_tested(["cat", "dog"])
    card = write_card(facts(DIGITS))
    low, high = (f"{end:.4f}" for end in tested.stage_two.accuracy_ci)
    assert (
        f"| stage two | 160 px | {tested.stage_two.accuracy:.4f} | {low} to {high} | {tested.training_earned} |" in card
    )
    assert f"| the same weights | 160 px | {tested.stage_one_at_stage_two.accuracy:.4f} |" in card
    assert f"each at its own resolution: {tested.earned}. {tested.earned.conclusion}\n" in card


def test_the_card_states_how_far_probabilities_can_be_trusted_before_and_after():
    card = write_card(facts(DIGITS))
    assert "| expected calibration error | 0.0123 |" in card
    assert "| loss and calibration error with temperature 1 instead of 1.37 | 0.0700 and 0.0456 |" in card
    assert "unsure" not in card


@pytest.mark.parametrize(
    ("threshold", "answered", "words"),
    [
        (0.87, 150, "above 0.87: validation images show, at 95.0 % confidence, that 99.0 % of such answers are right."),
        (0.87, 150, "Of the 200 test images it answers 150 so, 149 of them rightly. All other answers are unsure"),
        (1.0, 0, "Every answer is unsure: of no probability do validation images show, at 95.0 % confidence, that 99"),
    ],
)
def test_the_card_states_which_answers_count(threshold, answered, words):
    counted = Answered(images=200, answered=answered, correct=max(answered - 1, 0))
    found = Abstention(right=0.99, confidence=0.95, threshold=threshold, validation=counted, test=counted)
    release = facts(DIGITS).release.model_copy(update={"abstain": found})
    assert words in write_card(facts(DIGITS, release=release))


TRAINED = {
    "all": "all layers",
    "head": "the head",
    "last_batch_norm": "the last batch norm and the head",
    "{last_blocks: 1}": "the last block and the head",
    "{from_layer: block_13_expand}": r"layer block\_13\_expand and all after it",
}


@pytest.mark.parametrize(("train", "words"), TRAINED.items())
def test_the_card_says_what_learned(train, words):
    overrides = (f"stage_two.train={train}", "stage_two.batch_norm=null")
    assert f"| {words} |" in write_card(facts(load_recipe("digits", overrides)))


@pytest.mark.parametrize(
    ("formats", "present", "absent"),
    [("[keras]", "model.keras", "tf.saved_model"), ("[saved_model]", "tf.saved_model", "model.keras")],
)
def test_only_the_formats_that_are_there_are_described(formats, present, absent):
    card = write_card(facts(load_recipe("digits", (f"publish.formats={formats}",))))
    assert present in card
    assert absent not in card


def test_top_5_accuracy_is_stated_where_it_was_measured():
    metrics = {**facts(DIGITS).metrics, "top_5_accuracy": 0.999}
    assert "| top-5 accuracy | 0.9990 |" in write_card(facts(DIGITS, metrics=metrics))


def test_every_table_row_has_as_many_cells_as_its_head():
    card = write_card(facts(DIGITS, classes=("a|b", "c_d", "<b>", "`x`", "e*f", "[g](h)")))
    tables = re.findall(r"(?:^\|.*\n)+", card, re.MULTILINE)
    assert len(tables) == 6
    for table in tables:
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(widths) == 1, table
    assert "<b>" not in card


def test_many_classes_are_named_in_the_tables_only():
    names = [f"class {number}" for number in range(120)]
    card = write_card(facts(DIGITS, classes=names))
    assert "class 9 and 110 more." in card
    assert card.count("class 119") == 2


@settings(deadline=None, max_examples=50)
@given(name=st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), min_size=1, max_size=12))
def test_a_class_may_have_any_name(name):
    card = write_card(facts(DIGITS, classes=(name, "other")))
    block = metadata(card)
    assert block["model-index"][0]["name"] == "digits-012345678901"
    row = next(line for line in card.splitlines() if line.endswith(" | 100 | 1.0000 | 0.9700 | 0.9850 |"))
    shown = re.sub(r"\\(.)", r"\1", row.removeprefix("| ").removesuffix(" | 100 | 1.0000 | 0.9700 | 0.9850 |"))
    assert html.unescape(shown) == " ".join(name.split())


def test_names_of_columns_and_of_parts_are_text_in_the_table_of_parts():
    verdict = facts(DIGITS).verdict.model_copy(update={"slices": make_parts(["phone|old"], "camera|<i>")})
    card = write_card(facts(DIGITS, verdict=verdict))
    assert r"| camera\|&lt;i&gt;: phone\|old | 40 | 0.9500 |" in card
