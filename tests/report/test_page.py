"""The page's text: what it says, that it is safe, and that it needs nothing from outside. The looks: tests/ui."""

import html
import re
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from tests.report.synthetic import (
    PICTURES,
    make_answer,
    make_changed,
    make_parts,
    make_report,
    make_table,
    make_tested,
    make_verdict,
)
from thaw.tasks.evaluation.metrics import ClassScore, compute_metrics
from thaw.tasks.releases.verdict import Looks
from thaw.tasks.report.content import Changed
from thaw.tasks.report.finishing import ID_PLACE, with_release_id
from thaw.tasks.report.page import percent, points, sides, worst_classes

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return make_report(tmp_path_factory.mktemp("report"), ["cats", "dogs"], 207)


def report_of(**changes):
    with tempfile.TemporaryDirectory() as folder:
        return make_report(Path(folder), ["cats", "dogs"], 207, **changes)


def text_of(report):
    body = re.sub(r"<style>.*?</style>", "", report, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).replace("\N{NO-BREAK SPACE}", " ").split())


def test_it_opens_with_the_verdict_and_what_was_trained_on_what(report):
    text = text_of(report)
    opening = text[text.index("Report of cats_dogs") : text.index("The two models")]
    assert "Release ID" in opening
    assert "MobileNetV2, for images of 160 pixels" in opening
    assert "1,999 images of 2 classes, from a source of the kind directory" in opening
    assert f"Not shown {make_verdict().reason}" in opening
    assert "it does not become the champion" in opening
    assert "it becomes the champion" in text_of(report_of(verdict=make_verdict(verdict="better", promote=True)))


def test_the_two_models_stand_side_by_side_on_the_same_images(report):
    text = text_of(report)
    new, champion = sides(make_verdict(), 0.95)
    assert (new.alone, champion.alone, champion.name) == (6, 4, "flowers-5304beb14c59")
    for side in (new, champion):
        low, high = (f"{100 * end:.1f}" for end in side.accuracy_ci)
        words = (
            f"{side.name} {100 * side.accuracy:.1f} % right; 95 % interval {low} – {high} % alone right on {side.alone}"
        )
        assert words in text
    assert 'aria-label="The difference is +1.4\N{NO-BREAK SPACE}points; its 95 % interval is from −3.1' in report
    assert "31 more are left out" in text_of(report_of(verdict=make_verdict(left_out=31)))


def test_warnings_of_the_verdict_are_on_the_page():
    words = "rose got worse: 1 of its images gained, 9 lost."
    assert f"Warning: {words}" in text_of(report_of(verdict=make_verdict(warnings=[words])))


def test_a_first_model_stands_beside_the_simplest_answer_and_nothing_got_better_or_worse():
    report = report_of(verdict=make_verdict(40, 0, champion=None), better=None, worse=None)
    text = text_of(report)
    assert "Beside the simplest answer" in text
    assert "Always the largest class" in text
    assert "What got better" not in text
    assert 'href="#worse"' not in report


def test_where_no_image_can_be_compared_the_page_says_so():
    verdict = make_verdict(0, 0, images=0, left_out=141, verdict="not comparable")
    nothing = Changed(images=0, classes=[], more=0)
    text = text_of(report_of(verdict=verdict, better=nothing, worse=nothing))
    assert "Not comparable" in text
    assert "No image could be compared." in text


def test_what_changed_names_the_files_and_counts_what_is_not_shown():
    names = ["cats", "dogs"]
    changes = {
        "better": make_changed(names, (6, 1), better=True, more=3),
        "worse": Changed(images=0, classes=[], more=0),
    }
    report = report_of(**changes)
    text = text_of(report)
    assert "new model alone has right, 10 in all" in text
    assert "cats: 6 images" in text
    assert "✓ cats 99.9 % champion: dogs 61.0 % photos of the garden/2024/IMG_20240611_000000.jpg" in text
    assert "2 more of this class are in flips.parquet" in text
    assert "dogs: 1 image " in text
    assert "3 of other classes are in flips.parquet" in text
    assert "Nothing: there is no image that the champion alone has right." in text


def test_parts_of_the_test_images_stand_beside_the_champion_and_their_names_are_text():
    parts = [*make_parts(["photos/phone", HOSTILE]), *make_parts(["phone"], HOSTILE)]
    page = report_of(verdict=make_verdict(slices=parts))
    assert HOSTILE not in page
    assert "folder: photos/phone 40 95.0 % 83.0 – 99.0 % +5.0 points" in text_of(page)
    assert "Parts of the test images" not in text_of(report_of(verdict=make_verdict()))


def test_it_says_how_often_the_test_images_have_judged_and_what_is_free_of_luck():
    looks = Looks(test_split="a" * 64, before=11, among=3)
    new = make_verdict(2, 1, 50).compared
    text = text_of(report_of(verdict=make_verdict(looks=looks, compared_on_new=new)))
    assert "have judged 12 models of this recipe so far, 3 of them beside this champion" in text
    assert "the 50 images that had no part in choosing the champion are free of it" in text
    assert "free of it" not in text_of(report_of(verdict=make_verdict(looks=looks)))


def test_mistakes_name_their_files():
    text = text_of(report_of(mistakes=[make_answer(7, "cats", "dogs")]))
    assert "✗ dogs 92.9 % is cats photos of the garden/2024/IMG_20240611_000007.jpg" in text


def test_the_numbers_say_the_accuracy_in_a_sentence(report):
    test = compute_metrics(make_table(["cats", "dogs"], 207), ["cats", "dogs"], 0.95)["test"]
    low, high = (f"{100 * end:.1f}" for end in test["accuracy_ci"])
    accuracy = f"{100 * test['accuracy']:.1f} %"
    assert f"{test['correct']} of 207 test images right: {accuracy} (95 % interval {low} – {high} %)." in text_of(
        report
    )
    assert f"<title>cats_dogs: not shown, {accuracy}".replace(" %", "\N{NO-BREAK SPACE}%") in report


def test_what_stage_two_earned_stands_with_its_interval_and_apart_from_the_resolution(report):
    text, tested = text_of(report), make_tested(["cats", "dogs"], 207)
    gain = tested.earned
    assert f"{gain.gained} right that were wrong before, {gain.lost} wrong that were right. {gain.conclusion}" in text
    assert f"The same weights 160 px {100 * tested.stage_one_at_stage_two.accuracy:.1f} %" in text
    alike = make_tested(["cats", "dogs"], 207, resolutions=(160, 160))
    same = alike.model_copy(update={"stage_one_at_stage_two": alike.stage_one})
    assert "Both stages look at images in the same way" in text_of(report_of(tested=same))


def test_it_says_how_to_use_the_release_and_takes_its_id_wherever_that_belongs(report):
    assert "thaw predict --release ID photo.jpg" in text_of(report)
    text = text_of(with_release_id(report, "cats_dogs-0123456789ab"))
    assert "Release cats_dogs-0123456789ab" in text
    assert "thaw predict --release cats_dogs-0123456789ab photo.jpg" in text
    assert 'keras.saving.load_model("model.keras")' in text


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


def test_all_pictures_and_photos_are_inside_with_words_for_who_cannot_see_them(report):
    images = re.findall(r"<img [^>]*>", report)
    assert len(images) == len(PICTURES) + (4 + 1) + (3 + 1) + 9 + 9  # four of a class at the most
    assert all(re.search('src="data:image/(png|jpeg);base64,', image) for image in images)
    alternatives = [words for image in images for words in re.findall(r'alt="([^"]+)"', image)]
    assert len(alternatives) == len(images)
    assert all(len(words) > 20 for words in alternatives)


def test_names_from_the_data_are_text_and_never_markup(tmp_path):
    names = [HOSTILE, 'b" onload="x']
    shown = replace(make_answer(0, *names), origin=HOSTILE)
    page = make_report(tmp_path, names, 40, recipe_name=HOSTILE, some=[shown])
    assert "<script" not in page
    assert 'onload="' not in page
    assert HOSTILE in html.unescape(page)
    assert with_release_id(make_report(tmp_path / "id", [ID_PLACE, "b"], 40), "x-1").count("x-1") == 2


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
    assert len(re.findall("<img ", report)) == len(PICTURES) + (4 + 1) + (3 + 1) + 9


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
