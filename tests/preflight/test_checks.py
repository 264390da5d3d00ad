"""The checks of the data: every one is a warning or stops the run, and says nothing of what is as it should be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thaw.pipeline_config.errors import DatasetError
from thaw.pipeline_config.retrain_schema import CheckName, ChecksConfig
from thaw.tasks.ingest.dataset import Counts
from thaw.tasks.preflight.checks.base import Seen
from thaw.tasks.preflight.checks.class_lost import find_lost
from thaw.tasks.preflight.checks.members import CHECKS, check
from thaw.tasks.preflight.checks.similar_names import essence, find_alike

DEFAULTS = ChecksConfig()


def seen(now: dict[str, int], before: dict[str, int] | None = None, *, duplicates: int = 0, held_out: int = 3) -> Seen:
    """So many images of each class, of which so many are for validation, and as many for testing."""
    held = {name: min(held_out, count // 3) for name, count in now.items()}
    train = {name: count - 2 * held[name] for name, count in now.items()}
    counts: Counts = {"train": train, "validation": held, "test": held}
    return Seen(counts, before, sum(now.values()) + duplicates, duplicates)


# For each check, what it finds, and what of that the sentence must hold.
FOUND: dict[CheckName, tuple[Seen, list[str]]] = {
    "class_lost": (
        seen({"cat": 50, "dog": 25}, {"cat": 51, "dog": 50, "emu": 12}),
        ["dog has 25 of 50, emu has 0 of 12"],
    ),
    "class_images": (seen({"cat": 50, "dog": 9}), ["10 images of each class", "dog has 9"]),
    "class_held_out": (
        seen({"cat": 50, "dog": 50}, held_out=0),
        ["1 or more of each class", "cat has 0 in validation, dog has 0 in validation, cat has 0 in test"],
    ),
    "duplicates": (seen({"cat": 50, "dog": 50}, duplicates=25), ["25 of 125 files", "below 0.2"]),
    "similar_names": (seen({"cat": 50, "Cat ": 50, "dog": 10}, {"DOG": 10}), ["'Cat ' and cat", "DOG and dog"]),
}


def test_every_check_has_its_case_and_its_level():
    assert CHECKS.keys() == FOUND.keys()
    assert CHECKS.keys() == ChecksConfig.model_fields.keys() - {"levels"}


def test_there_is_nothing_to_say_of_what_is_as_it_should_be():
    assert check(seen({"cat": 50, "dog": 60}, {"cat": 51, "dog": 50}, duplicates=1), DEFAULTS) == []


@pytest.mark.parametrize("name", CHECKS)
def test_a_check_warns_or_stops_as_its_level_says(name):
    found, words = FOUND[name]
    (warning,) = [text for text in check(found, DEFAULTS) if f"(checks.{name})" in text]
    assert all(word in warning for word in words)
    with pytest.raises(DatasetError, match=rf"checks\.levels\.{name}=warn") as caught:
        check(found, ChecksConfig(levels={name: "stop"}))
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 500
    if name != "similar_names":  # in whose case a class is gone, too
        others = ChecksConfig.model_validate({"levels": dict.fromkeys(CHECKS.keys() - {name}, "stop")})
        assert check(found, others) == [warning]


@pytest.mark.parametrize("name", CHECKS)
def test_the_message_of_a_thousand_classes_is_one_short_line(name):
    many = {f"class {number:04} {'x' * 80}": 1 for number in range(1000)}
    found = seen(many | {key.upper(): 1 for key in many}, dict.fromkeys(many, 100), duplicates=2000)
    with pytest.raises(DatasetError) as caught:
        check(found, ChecksConfig(levels={name: "stop"}))
    assert len(str(caught.value)) < 500


@given(st.integers(1, 1000), st.floats(0.01, 1), st.floats(0, 1))
def test_a_class_is_lost_from_the_very_share_on(before, limit, kept):
    now = round(before * kept)
    found = find_lost(seen({"cat": now}, {"cat": before}), ChecksConfig(class_lost=limit))
    assert (found is not None) == (before - now >= limit * before)


@pytest.mark.parametrize(
    ("one", "other"),
    [("daisy", "Daisy "), ("sea_star", "Sea star"), ("sea-star", "seastar"), ("crème", "CREME"), ("Straße", "STRASSE")],
)
def test_names_that_differ_in_little_are_alike(one, other):
    assert essence(one) == essence(other)
    assert find_alike(seen({one: 9, other: 9}), DEFAULTS) is not None
    assert find_alike(seen({one: 9, other: 9}), ChecksConfig(similar_names=False)) is None
    # As new names for old ones, too; but not where both are gone.
    assert find_alike(seen({other: 9, "emu": 9}, {one: 9, "emu": 9}), DEFAULTS) is not None
    assert find_alike(seen({"emu": 9, "ox": 9}, {one: 9, other: 9}), DEFAULTS) is None


@pytest.mark.parametrize(("one", "other"), [("class 1", "class 2"), ("C", "C++"), ("cat", "cats"), ("-", "_x")])
def test_names_that_say_something_else_are_not(one, other):
    assert find_alike(seen({one: 9, other: 9}), DEFAULTS) is None
