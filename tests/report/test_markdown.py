"""The report for Prefect's UI: what it says, what it escapes, and how large it gets."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from tests.report.synthetic import make_answer, make_changed, make_content, make_placeholders, make_table, make_verdict
from thaw.tasks.evaluation.metrics import compute_metrics
from thaw.tasks.report.markdown import MOST_BYTES, escaped, render_markdown

HOSTILE = "<script>\n\n| `x` **b** [a](b)"


class Pictures(HTMLParser):
    """The images of a text, by their words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: dict[str, str] = {}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        assert tag in ("img", "table", "tr", "td", "strong", "br")
        if tag == "img":
            self.found[dict(attrs)["alt"]] = dict(attrs)["src"]


@pytest.fixture
def rendered(tmp_path):
    make_placeholders(tmp_path / "pictures")

    def rendered(classes=("cats", HOSTILE), **changes):
        metrics = compute_metrics(make_table(list(classes), 60), list(classes), 0.95)["test"]
        return render_markdown(make_content(list(classes), metrics, **changes), tmp_path / "pictures")

    return rendered


def test_it_opens_with_the_verdict_and_shows_both_models_and_every_kind_of_picture(rendered):
    text = rendered(verdict=make_verdict(6, 4, 141, warnings=["2 files are odd."]))
    assert text.startswith("**Not shown.** On 141 test images, the new model alone is right on 6")
    assert "⚠ 2 files are odd." in text
    rows = [line.replace("\N{NO-BREAK SPACE}", " ") for line in text.splitlines() if line.startswith("| ")]
    assert rows[1:] == [
        "| The new model | 92.2 % | 86.6 % to 95.6 % | 6 |",
        "| flowers-5304beb14c59 | 90.8 % | 84.9 % to 94.5 % | 4 |",
    ]
    titles = [line for line in text.splitlines() if line.startswith("### ")]
    assert titles == [
        "### Learning curves",
        "### Confusion matrix",
        "### What got worse",
        "### What got better",
        "### The surest mistakes",
    ]
    pictures = Pictures(text).found
    assert len(pictures) == 2 + 6  # drawn, and six photos, of which the synthetic report shows some twice
    assert all(uri.startswith(("data:image/png;base64,", "data:image/jpeg;base64,")) for uri in pictures.values())
    assert "photos of the garden/2024/IMG_20240611_000000.jpg" in text


def test_without_a_champion_and_without_a_mistake_there_is_nothing_to_show_of_them(rendered):
    text = rendered(verdict=make_verdict(champion=None), better=None, worse=None, mistakes=[])
    assert "What got" not in text
    assert "mistakes" not in text
    assert "Always the largest class" in text


def test_images_of_many_classes_come_before_many_of_one(rendered):
    classes = [f"class {number}" for number in range(6)]
    text = rendered(classes, worse=make_changed(classes, (4, 4, 4), better=False), better=None, mistakes=[])
    shown = re.findall(r"is <strong>(class \d)</strong>", text)
    assert shown == ["class 0", "class 1", "class 2"] * 2
    assert "6 more are not shown here." in text


def test_what_data_are_named_acts_neither_as_markdown_nor_as_html(rendered):
    answers = [replace(make_answer(number, HOSTILE, "cats"), origin=f"{HOSTILE}\n\n# {number}") for number in (1, 2)]
    text = rendered(mistakes=answers, verdict=make_verdict(reason=f"Always {HOSTILE}"))
    assert "<script>" not in text
    assert "&lt;script&gt; \\| \\`x\\` \\*\\*b\\*\\* \\[a\\](b)" in text.splitlines()[0]
    assert not re.search(r"^# ", text, re.MULTILINE)
    assert len(Pictures(text).found) > 2


def test_all_pictures_together_have_a_limit_and_the_first_ones_their_place(rendered):
    large = [replace(make_answer(number, "a", "b"), uri=f"data:{'x' * 200_000}{number}") for number in range(6)]
    text = rendered(mistakes=large)
    assert sum(map(len, Pictures(text).found.values())) <= MOST_BYTES
    assert sum(uri.startswith("data:xxx") for uri in Pictures(text).found.values()) == 4
    assert text.count("IMG_20240611_000005.jpg") >= 2  # the name, and the words in the picture's place


def test_a_name_is_one_line(rendered):
    assert escaped("a\n\n|b") == "a \\|b"
