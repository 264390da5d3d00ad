import pytest
from hypothesis import given
from hypothesis import strategies as st

from thaw.pipeline_config.errors import DatasetError
from thaw.pipeline_config.messages import (
    LONGEST_MESSAGE,
    one_line,
    received,
    text_without_secrets,
    without_secrets,
    word,
)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://host/a.zip", "https://host/a.zip"),
        ("https://host:80/a@2x.zip", "https://host:80/a@2x.zip"),
        ("https://host/a.zip?token=abc&b=", "https://host/a.zip?token=REMOVED&b="),
        ("https://host/a.zip?abc", "https://host/a.zip?REMOVED"),
        ("https://host/a.zip#t=abc;u=d", "https://host/a.zip#t=REMOVED;u=REMOVED"),
        ("https://me:word@host/a.zip", "https://host/a.zip"),
        ("https://token@host", "https://host"),
        ("s3://key:se/cret@bucket/a", "s3://bucket/a"),
        ("s3://bucket/a b/*.parquet?region=eu-west-3", "s3://bucket/a b/*.parquet?region=eu-west-3"),
        ("s3://bucket/a b/*?client_secret=a b&scheme=http", "s3://bucket/a b/*?client_secret=REMOVED&scheme=http"),
        ("/data/a://b?c=d", "/data/a://b?c=d"),
        ("photos?", "photos?"),
    ],
)
def test_an_address_loses_its_user_and_what_its_options_say(address, shown):
    assert without_secrets(address) == shown
    assert without_secrets(shown) == shown
    assert without_secrets({"source": {"path": {"train": [address]}}, "seed": 1}) == {
        "source": {"path": {"train": [shown]}},
        "seed": 1,
    }


def test_addresses_in_the_words_of_a_message_do_so_too():
    text = "It is 'https://me:word@host/a?token=abc'. See https://host/b?sig=abc, or (s3://b/c?d=e)."
    shown = "It is 'https://host/a?token=REMOVED'. See https://host/b?sig=REMOVED, or (s3://b/c?d=REMOVED)."
    assert text_without_secrets(text) == str(DatasetError(text)) == shown


@pytest.mark.parametrize("before", [0, 50, 90, 100, 470, 500, 2000])
def test_what_is_cut_off_does_not_hide_that_it_was_an_address(before):
    text = before * "x" + " https://host/" + 70 * "a" + "?key=s3cr3t" + before * "y"
    for shown in (one_line(text), word(text), received(text), received([text]), str(DatasetError(text))):
        assert "s3cr3t" not in shown


@given(st.text(st.characters()), st.integers(1, 400))
def test_any_message_becomes_one_line_that_can_be_printed(text, times):
    line = str(DatasetError(times * text))
    assert len(line) <= LONGEST_MESSAGE
    assert line.isprintable()
    assert line.encode().decode() == line
    assert one_line(line) == line


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (True, "True"),
        (1e-5, "1e-05"),
        ("x\n", r"'x\n'"),
        ({"a": [1, None]}, "{'a': [1, None]}"),
        ("https://host/a?key=b", "'https://host/a?key=REMOVED'"),
    ],
)
def test_what_is_short_is_shown_as_python_writes_it(value, shown):
    assert received(value) == shown


def test_what_is_long_is_shown_by_its_beginning_and_its_end():
    assert received(10**5000) == "a number of 16610 bits"
    for value in (
        "a" * 1_000_000,
        int("9" * 2000),
        ["x" * 90] * 100_000,
        {str(number): number for number in range(9999)},
    ):
        assert len(received(value)) < 700
    assert received("a" * 5000).startswith("'aaa")
    assert len(word("a/" * 3000)) <= 100
