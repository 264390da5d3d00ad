"""Whatever stands in an argument or an option of `thaw`: what is empty or no text is refused in one line."""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command

from thaw.flows.cli import app
from thaw.flows.main import _call
from thaw.pipeline_config.errors import RequestError

NOT_UTF_8 = os.fsdecode(b"a\xff")


def commands(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if hasattr(command, "commands"):
        for name, each in command.commands.items():
            yield from commands(each, (*words, name))
    else:
        yield words, command


def calls() -> Iterator[tuple[str, ...]]:
    """Each command once for each of its values, which stands as `?`; the other required ones are given."""
    for words, command in commands(get_command(app)):
        values = [each for each in command.params if not getattr(each, "is_flag", False) and each.name != "help"]
        for value in values:
            given = []
            for each in values:
                if each is value or each.required:
                    option = [] if each.param_type_name == "argument" else [each.opts[0]]
                    given += [*option, "?" if each is value else "x"]
            yield (*words, *given)


CALLS = list(calls())


def test_all_commands_and_their_values_are_found():
    called = {" ".join(call) for call in CALLS}
    assert called >= {
        "run ?",
        "run x --home ?",
        "predict x --release ?",
        "releases rollback --reason ?",
        "gc --older-than ?",
    }
    assert len(called) >= 40


@pytest.mark.parametrize("value", ["", NOT_UTF_8], ids=["empty", "not UTF-8"])
@pytest.mark.parametrize("call", CALLS, ids=" ".join)
def test_a_value_that_is_empty_or_no_text_is_refused(call, value):
    with pytest.raises(RequestError, match=r"^Invalid value for ") as caught:
        _call([value if word == "?" else word for word in call])
    assert len(str(caught.value)) < 200
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gc", "--older-than", "9" * 5000], "--older-than must be a whole number and a unit"),
        (["gc", "--keep-releases", "9" * 5000], "Invalid value for '--keep-releases': "),
        (["compare", "digits", "--seeds", "9" * 5000], "--seeds is '999"),
        (["compare", "digits", "--workers", "1000000"], "Invalid value for '--workers': "),
        (["plan", "digits", "--home="], "Invalid value for '--home': it is empty, expected a text."),
        (["plan", "digits", "--refresh", "x" * 5000], "There is no task 'xxx"),
        (["plan", "digits", "--data", "a/" * 2400], "dataset.source.path: String should have at most 4096"),
        (["plan", "digits", "--weights", "w.h5"], "--weights has no use for digits, which starts from random"),
        (["plan", "a/" * 2000 + "r.yaml"], "Recipe a/a/a"),
        (["releases", "show", "x" * 5000, "--home", "nowhere"], "There is no release 'xxx"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_odd_values_get_their_line(arguments, message):
    with pytest.raises(RequestError) as caught:
        _call(arguments)
    assert str(caught.value).startswith(message)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["releases", "rollback", "--reason", b"\xff"], b"'\\udcff' cannot be read as utf-8, expected text."),
        (["predict", "--release", "", "a.png"], b"Invalid value for '--release': it is empty, expected a text."),
    ],
)
def test_a_shells_bytes_arrive_as_one_line_with_exit_code_2(arguments, message):
    command = [sys.executable, "-m", "thaw.flows.cli", *arguments]
    done = subprocess.run(command, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"thaw: " + message)
    assert done.stderr.count(b"\n") == 1
