"""YAML as recipes are written in it: the core schema of YAML 1.2, with repeated keys refused.

PyYAML reads YAML 1.1, where 1e-4 is a string, `no` is false, 010 is eight and 2024-01-31 is a date. In YAML 1.2 they
are a number, a string, ten, and a string. (ruamel.yaml reads dates and 1_000 in 1.2, too, and writes for one version.)
"""

import re
from collections.abc import Callable
from typing import Any

import yaml
from yaml.constructor import BaseConstructor, ConstructorError
from yaml.nodes import MappingNode, Node, ScalarNode

from thaw.pipeline_config.errors import RecipeError
from thaw.pipeline_config.messages import one_line, received

# What a text may hold at the most, so that it is read or refused within a few seconds: PyYAML takes 40 µs a value and
# 5 µs a character. A list of all 21,841 classes of ImageNet is shorter.
LONGEST_TEXT = 500_000  # characters
_MOST_VALUES = 30_000  # an alias counts as all that it stands for
_DEEPEST = 100
_LONGEST_NUMBER = 1000  # digits; Python itself refuses more than 4,300, though not everywhere

_PREFIX = "tag:yaml.org,2002:"
_FLOAT = re.compile(
    r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
)


def _integer(text: str) -> int:
    if len(text) > _LONGEST_NUMBER:
        raise ValueError(f"it has a number of {len(text)} digits")
    return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


def _float(text: str) -> float:
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


# Tag, pattern, the characters that such a value may begin with, and what it means. The first pattern that matches
# decides.
_CORE_SCHEMA: tuple[tuple[str, re.Pattern[str], list[str], Callable[[str], Any]], ...] = (
    ("null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""], lambda _: None),
    ("bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"), lambda text: text[0] in "tT"),
    ("int", re.compile(r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$"), list("-+0123456789"), _integer),
    ("float", _FLOAT, list("-+.0123456789"), _float),
)


class _Loader(yaml.SafeLoader):
    """Knows the tags of the core schema and no others, and counts what it reads."""

    # PyYAML's own, without what YAML 1.1 has besides.
    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012
    yaml_constructors = {  # noqa: RUF012
        _PREFIX + "str": yaml.SafeLoader.construct_yaml_str,
        _PREFIX + "seq": yaml.SafeLoader.construct_yaml_seq,
        _PREFIX + "map": yaml.SafeLoader.construct_yaml_map,
        None: yaml.SafeLoader.construct_undefined,
    }

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._values, self._depth = 0, 0
        self._values_in: dict[Node, int] = {}

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        before = self._values
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ValueError(f"it is nested more than {_DEEPEST} deep")
        node = super().compose_node(parent, index)
        self._depth -= 1
        if node is not None:
            # An alias is the node that it stands for, of which it is known by now what is in it.
            self._values = before + self._values_in.setdefault(node, self._values - before + 1)
        if self._values > _MOST_VALUES:
            raise ValueError(f"it has more than {_MOST_VALUES} values")
        return node

    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Any, Any]:
        mapping = BaseConstructor.construct_mapping(self, node, deep=deep)
        if len(mapping) < len(node.value):
            key, line = received(self._repeated(node)), node.start_mark.line + 1
            raise RecipeError(f"Key {key} stands twice in one place, at line {line}. Keep one.")
        return mapping

    def _repeated(self, node: MappingNode) -> Any:
        seen = set()
        for key, _ in node.value:
            value = self.construct_object(key, deep=True)
            if value in seen:
                return value
            seen.add(value)
        raise LookupError("no key stands twice")


class _Dumper(yaml.SafeDumper):
    """Quotes every string that YAML 1.1 or 1.2 would take for something else."""


def _represent_string(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # PyYAML folds these rare line breaks away, unless they are escaped, as they are between double quotes.
    style = '"' if any(character in text for character in "\x85\u2028\u2029") else None
    return dumper.represent_scalar(_PREFIX + "str", text, style=style)


def _constructor(pattern: re.Pattern[str], read: Callable[[str], Any]) -> Callable[[Any, Any], Any]:
    def construct(loader: yaml.SafeLoader, node: ScalarNode) -> Any:
        text = loader.construct_scalar(node)
        if not pattern.match(text):  # the tag was written
            raise ConstructorError(None, None, f"found {received(text)} as {node.tag}", node.start_mark)
        return read(text)

    return construct


for _name, _pattern, _first, _read in _CORE_SCHEMA:
    _Loader.add_implicit_resolver(_PREFIX + _name, _pattern, _first)
    _Dumper.add_implicit_resolver(_PREFIX + _name, _pattern, _first)
    _Loader.add_constructor(_PREFIX + _name, _constructor(_pattern, _read))
_Dumper.add_representer(str, _represent_string)


def read_yaml(text: str) -> Any:
    """Read one YAML document: mappings, lists, strings, numbers, booleans and None.

    Raises:
        RecipeError: A key stands twice in one mapping.
        ValueError: The text is not YAML, or has more in it than any recipe; the message is one line.
    """
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"it has more than {LONGEST_TEXT} characters")
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 (a SafeLoader)
    except (yaml.YAMLError, ValueError) as error:
        raise ValueError(one_line(str(error))) from error


def write_yaml(document: Any) -> str:
    """Write a document such that `read_yaml` gives back an equal one, and so does a reader of YAML 1.1."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
