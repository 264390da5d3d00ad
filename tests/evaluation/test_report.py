"""The report's text: what it says, that it is safe, and that it needs nothing from outside. The looks: tests/ui."""

import html
import re

import pytest

from tests.evaluation.synthetic import make_report, make_table
from thaw.tasks.evaluation.metrics import ClassScore, compute_metrics
from thaw.tasks.evaluation.report import percent, points, worst_classes

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return make_report(tmp_path_factory.mktemp("report"), ["cats", "dogs"], 207)


def text_of(report):
    body = re.sub(r"<style>.*?</style>", "", report, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).replace("\N{NO-BREAK SPACE}", " ").split())


def test_the_headline_says_the_result_in_a_sentence(report):
    test = compute_metrics(make_table(["cats", "dogs"], 207), ["cats", "dogs"], 0.95)["test"]
    low, high = (f"{100 * end:.1f}" for end in test["accuracy_ci"])
    accuracy = f"{100 * test['accuracy']:.1f} %"
    assert f"{test['correct']} of 207 test images right: {accuracy} (95 % interval {low} – {high} %)." in text_of(
        report
    )
    assert f"<title>cats_dogs: {accuracy}".replace(" %", "\N{NO-BREAK SPACE}%") in report


def test_it_tells_what_each_stage_did_to_validation(report):
    text = text_of(report)
    assert "Stage two took validation accuracy from 95.1 % to 97.7 % (+2.6 points)." in text
    assert "Stage one 128 px the head; the backbone is frozen 2,562 of 2,260,546 parameters 10 kept: 10" in text
    assert "160 px from layer 100 of the backbone on 1,863,873 of 2,260,546 parameters 10 kept: 7" in text


def test_it_asks_for_nothing_from_outside(report):
    references = re.findall(r'(?:src|href|action|data)="([^"]*)"', report)
    assert references
    assert all(reference.startswith(("data:", "#")) for reference in references)
    assert "url(" not in report
    assert "@import" not in report
    assert "<script" not in report
    assert "default-src 'none'" in report


def test_all_seven_pictures_are_inside_with_words_for_who_cannot_see_them(report):
    images = re.findall(r"<img [^>]*>", report)
    assert len(images) == 7
    assert all("data:image/png;base64," in image for image in images)
    alternatives = [words for image in images for words in re.findall(r'alt="([^"]+)"', image)]
    assert len(alternatives) == 7
    assert all(len(words) > 20 for words in alternatives)
    assert len(set(alternatives)) == 7


def test_names_from_the_data_are_text_and_never_markup(tmp_path):
    report = make_report(tmp_path, [HOSTILE, 'b" onload="x'], 40, recipe_name=HOSTILE)
    assert "<script" not in report
    assert 'onload="' not in report
    assert HOSTILE in html.unescape(report)


def test_up_to_twenty_classes_stand_in_one_table_and_more_are_folded(tmp_path):
    few = make_report(tmp_path / "few", [f"class {number}" for number in range(20)], 100)
    many = make_report(tmp_path / "many", [f"class {number}" for number in range(21)], 100)
    assert few.count('class="classes"') == 1
    assert "All 21 classes" not in few
    assert many.count('class="classes"') == 2
    assert "The 10 classes with the lowest F1" in many
    assert "<summary>All 21 classes</summary>" in many
    assert "Top-5 accuracy" in many


def test_a_model_without_mistakes_is_told_so_in_words(tmp_path):
    report = make_report(tmp_path, ["a", "b"], 12, noise=0)
    assert "There are none: all 12 test images are right." in report
    assert len(re.findall("<img ", report)) == 6


def test_a_recipe_without_augmentation_is_told_so(tmp_path):
    assert "changes no image at random" in make_report(tmp_path, ["a", "b"], 12, augmented=False)


def test_the_same_content_is_the_same_bytes(tmp_path):
    first = make_report(tmp_path / "first", ["a", "b", "c"], 40)
    assert make_report(tmp_path / "second", ["a", "b", "c"], 40) == first
    assert str(tmp_path) not in first


def test_the_worst_classes_have_test_images_and_the_lowest_f1_first():
    scores: list[ClassScore] = [
        {"class": name, "examples": examples, "precision": f1, "recall": f1, "f1": f1}
        for name, examples, f1 in [("a", 5, 0.9), ("b", 0, 0.0), ("c", 5, 0.2), ("d", 5, 0.5)]
    ]
    assert [score["class"] for score in worst_classes(scores, 2)] == ["c", "d"]


@pytest.mark.parametrize(
    ("difference", "expected"),
    [(0.012, "+1.2 points"), (-0.03, "−3.0 points"), (0.0004, "no change"), (-0.0004, "no change")],
)
def test_differences_are_in_percentage_points(difference, expected):
    assert points(difference).replace("\N{NO-BREAK SPACE}", " ") == expected


def test_percentages_do_not_break_before_their_sign():
    assert percent(0.957) == "95.7\N{NO-BREAK SPACE}%"
