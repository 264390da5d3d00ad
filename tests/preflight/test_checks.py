"""The checks of the data: every one is a warning or stops the run, and says nothing of what is as it should be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thaw.pipeline_config.errors import DatasetError
from thaw.pipeline_config.retrain_schema import CheckName, ChecksConfig
from thaw.tasks.preflight.checks.base import Seen
from thaw.tasks.preflight.checks.class_lost import find_lost
from thaw.tasks.preflight.checks.members import CHECKS, check
from thaw.tasks.preflight.checks.similar_names import essence, find_alike

DEFAULTS = ChecksConfig()
AS_IT_SHOULD_BE = Seen(now={"cat": 50, "dog": 60}, before={"cat": 51, "dog": 50}, files=111, duplicates=1)
# For each check, what it finds, and what of that the sentence must hold.
FOUND: dict[CheckName, tuple[Seen, list[str]]] = {
    "class_lost": (
        Seen({"cat": 50, "dog": 25}, {"cat": 51, "dog": 50, "emu": 12}, 75, 0),
        ["dog has 25 of 50, emu has 0 of 12"],
    ),
    "class_images": (Seen({"cat": 50, "dog": 9}, None, 59, 0), ["10 images of each class", "dog has 9"]),
    "duplicates": (Seen({"cat": 50, "dog": 50}, None, 125, 25), ["25 of 125 files", "below 0.2"]),
    "similar_names": (
        Seen({"cat": 50, "Cat ": 50, "dog": 9}, {"DOG": 9}, 100, 0),
        ["'Cat ' and cat", "DOG and dog"],
    ),
}


def test_every_check_has_its_case_and_its_level():
    assert CHECKS.keys() == FOUND.keys()
    assert CHECKS.keys() == ChecksConfig.model_fields.keys() - {"levels"}


def test_there_is_nothing_to_say_of_what_is_as_it_should_be():
    assert check(AS_IT_SHOULD_BE, DEFAULTS) == []


@pytest.mark.parametrize("name", CHECKS)
def test_a_check_warns_or_stops_as_its_level_says(name):
    seen, words = FOUND[name]
    (warning,) = [text for text in check(seen, DEFAULTS) if f"(checks.{name})" in text]
    assert all(word in warning for word in words)
    with pytest.raises(DatasetError, match=rf"checks\.levels\.{name}=warn") as caught:
        check(seen, ChecksConfig(levels={name: "stop"}))
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 500
    others: dict[CheckName, str] = {other: "stop" for other in CHECKS if other != name}
    if name not in ("similar_names", "class_images"):  # whose case is one of the other, too
        assert check(seen, ChecksConfig.model_validate({"levels": others})) == [warning]


@pytest.mark.parametrize("name", CHECKS)
def test_the_message_of_a_thousand_classes_is_one_short_line(name):
    many = {f"class {number:04} {'x' * 80}": 1 for number in range(1000)}
    seen = Seen(many | {key.upper(): 1 for key in many}, dict.fromkeys(many, 100), 4000, 3000)
    with pytest.raises(DatasetError) as caught:
        check(seen, ChecksConfig(levels={name: "stop"}))
    assert len(str(caught.value)) < 500


@given(st.integers(1, 1000), st.floats(0.01, 1), st.floats(0, 1))
def test_a_class_is_lost_from_the_very_share_on(before, limit, kept):
    now = round(before * kept)
    found = find_lost(Seen({"cat": now}, {"cat": before}, now, 0), ChecksConfig(class_lost=limit))
    assert (found is not None) == (before - now >= limit * before)


@pytest.mark.parametrize(
    ("one", "other"),
    [("daisy", "Daisy "), ("sea_star", "Sea star"), ("sea-star", "seastar"), ("crème", "CREME"), ("Straße", "STRASSE")],
)
def test_names_that_differ_in_little_are_alike(one, other):
    assert essence(one) == essence(other)
    assert find_alike(Seen({one: 9, other: 9}, None, 18, 0), DEFAULTS) is not None
    assert find_alike(Seen({one: 9, other: 9}, None, 18, 0), ChecksConfig(similar_names=False)) is None
    # As new names for old ones, too; but not where both are gone.
    assert find_alike(Seen({other: 9, "emu": 9}, {one: 9, "emu": 9}, 18, 0), DEFAULTS) is not None
    assert find_alike(Seen({"emu": 9, "ox": 9}, {one: 9, other: 9}, 18, 0), DEFAULTS) is None


@pytest.mark.parametrize(("one", "other"), [("class 1", "class 2"), ("C", "C++"), ("cat", "cats"), ("-", "_x")])
def test_names_that_say_something_else_are_not(one, other):
    assert find_alike(Seen({one: 9, other: 9}, None, 18, 0), DEFAULTS) is None
