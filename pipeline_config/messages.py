"""How what came from outside is written down: in one short line, and without what may be a secret in an address."""

import re
import reprlib
from typing import Any

LONGEST_MESSAGE = 490  # characters; with "thaw: " before it a line stays under 500
_LONGEST_WORD = 100

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,20}://")
_ADDRESS_IN_TEXT = re.compile(rf"{_ADDRESS.pattern}\S*[^\s.,:;'\")\]]")
# Up to the last @ of what names the host; also where a password holds a slash, which it should not.
_USER = re.compile(r"\A(?:[^/]*@|(?![^/@]*:\d*(?:/|$))[^/@]*:[^@]*@)")
_REMOVED = "REMOVED"
_SAYS_WHERE = ("endpoint_override", "region", "scheme")  # options of pyarrow's file systems that are no secrets


def one_line(text: str, most: int = LONGEST_MESSAGE) -> str:
    """Write a text as one line that every terminal and every encoding can hold, without secrets in its addresses.

    It is cut in the middle if it is longer.
    """
    text = text_without_secrets(text)
    if len(text) > 2 * most:  # the rest of a long text need not be looked at
        text = f"{text[:most]} … {text[-most:]}"
    words = " ".join(text.split())
    line = words if words.isprintable() else "".join(map(_printable, words))
    end = most // 3
    return line if len(line) <= most else f"{line[: most - end - 3].rstrip()} … {line[len(line) - end :].lstrip()}"


def _printable(character: str) -> str:
    return character if character.isprintable() else ascii(character)[1:-1]


def word(text: str) -> str:
    """Write a name or a path for a message, as short as most are: cut in the middle, escaped where it must be."""
    return one_line(text if text.isprintable() else repr(text), _LONGEST_WORD)


class _Received(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = _LONGEST_WORD
        self.maxlong, self.maxlevel = 40, 3

    def repr_str(self, x: str, level: int) -> str:
        return super().repr_str(text_without_secrets(without_secrets(x)), level)

    def repr_int(self, x: int, level: int) -> str:
        # Python refuses to write out a number of more than 4,300 digits.
        return super().repr_int(x, level) if x.bit_length() < 10_000 else f"a number of {x.bit_length()} bits"


received = _Received().repr
"""Write a value that was received, as Python does, but never more than the beginning and the end of what is long."""


def is_address(text: str) -> bool:
    """Say whether a text begins as an address does, such as https:// or s3://."""
    return _ADDRESS.match(text) is not None


def without_secrets(value: Any) -> Any:
    """Take the user, the password and the values behind a `?` or a `#` out of every address in a JSON document.

    A string is an address if it begins as one. What says where something is, such as `region`, stays.
    """
    match value:
        case dict():
            return {key: without_secrets(each) for key, each in value.items()}
        case list() | tuple():
            return [without_secrets(each) for each in value]
        case str() if is_address(value):
            return _plain(value)
    return value


def text_without_secrets(text: str) -> str:
    """Do the same with every address in the words of a message."""
    return _ADDRESS_IN_TEXT.sub(lambda match: _plain(match[0]), text) if "://" in text else text


def _plain(address: str) -> str:
    scheme, _, rest = address.partition("://")
    place = re.split(r"[?#]", rest, maxsplit=1)[0]
    options = re.split(r"([?#&;])", rest[len(place) :])
    shown = (each if number % 2 else _option(each) for number, each in enumerate(options))
    return f"{scheme}://{_USER.sub('', place)}{''.join(shown)}"


def _option(text: str) -> str:
    name, equals, value = text.partition("=")
    if name in _SAYS_WHERE or not text:
        return text
    return f"{name}={_REMOVED if value else ''}" if equals else _REMOVED
