import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from thaw.pipeline_config.errors import RecipeError
from thaw.pipeline_config.yaml_dialect import read_yaml, write_yaml

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]))
    | st.sampled_from(
        ["1e5", "no", "010", "0o17", "1:30", "1_000", "2024-01-31", "~", "null", "", ".5", "<<", "=", "+1"]
    )
)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("abn0159eo.:-_", max_size=6), inner, max_size=4)
    ),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("12", 12),
        ("-3", -3),
        ("+3", 3),
        ("010", 10),
        ("0o17", 15),
        ("0x1F", 31),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("1.5", 1.5),
        (".5", 0.5),
        ("5.", 5.0),
        (".inf", math.inf),
        ("-.inf", -math.inf),
        ("true", True),
        ("False", False),
        ("no", "no"),
        ("on", "on"),
        ("null", None),
        ("~", None),
        ("", None),
        ("2024-01-31", "2024-01-31"),
        ("2024-13-45", "2024-13-45"),
        ("'1e-4'", "1e-4"),
        ("1e", "1e"),
        ("e5", "e5"),
        (".", "."),
    ],
)
def test_plain_scalars_mean_what_yaml_1_2_says(text, value):
    read = read_yaml(text)
    assert read == value
    assert type(read) is type(value)


@given(DOCUMENTS)
def test_what_is_written_reads_back_equal_here_and_in_yaml_1_1(document):
    text = write_yaml(document)
    assert read_yaml(text) == document
    assert yaml.safe_load(text) == document


def test_keys_are_written_in_their_own_order():
    assert write_yaml({"name": 1, "augment": 2}) == "name: 1\naugment: 2\n"


@pytest.mark.parametrize("text", ["{a: 1, a: 1}", "a: 1\nb: 2\na: 3", "[{x: {b: 1, b: 2}}]", "{1: a, 0x1: b}"])
def test_key_that_stands_twice_is_refused(text):
    with pytest.raises(RecipeError, match="stands twice in one place"):
        read_yaml(text)


@pytest.mark.parametrize("text", ["[", "a: b: c", "\x00", "!!int x", "!!python/name:os.system", "[" * 3000, "{[1]: 2}"])
def test_what_is_not_yaml_is_a_value_error_of_one_line(text):
    with pytest.raises(ValueError) as caught:
        read_yaml(text)
    assert "\n" not in str(caught.value)
