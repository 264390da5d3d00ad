"""YAML as recipes are written in it: the core schema of YAML 1.2, with repeated keys refused.

PyYAML reads YAML 1.1, where 1e-4 is a string, `no` is false, 010 is eight and 2024-01-31 is a date. In YAML 1.2 they
are a number, a string, ten, and a string. (ruamel.yaml reads dates and 1_000 in 1.2, too, and writes for one version.)
"""

import re
from typing import Any

import yaml

from thaw.pipeline_config.errors import RecipeError

_PREFIX = "tag:yaml.org,2002:"
_FLOAT = re.compile(
    r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
)
# Tag, pattern, and the characters that such a value may begin with. The first pattern that matches decides.
_CORE_SCHEMA = (
    ("null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""]),
    ("bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")),
    ("int", re.compile(r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$"), list("-+0123456789")),
    ("float", _FLOAT, list("-+.0123456789")),
)


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012 (PyYAML's own; without YAML 1.1's patterns)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise RecipeError(
                    f"Key {key!r} stands twice in one place, at line {node.start_mark.line + 1}. Keep one."
                )
        return super().construct_mapping(node, deep=deep)


class _Dumper(yaml.SafeDumper):
    """Quotes every string that YAML 1.1 or 1.2 would take for something else."""


def _represent_string(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # PyYAML folds these rare line breaks away, unless they are escaped, as they are between double quotes.
    style = '"' if any(character in text for character in "\x85\u2028\u2029") else None
    return dumper.represent_scalar(_PREFIX + "str", text, style=style)


def _construct_integer(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    text = loader.construct_scalar(node)
    return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


for _name, _pattern, _first in _CORE_SCHEMA:
    _Loader.add_implicit_resolver(_PREFIX + _name, _pattern, _first)
    _Dumper.add_implicit_resolver(_PREFIX + _name, _pattern, _first)
_Dumper.add_representer(str, _represent_string)
_Loader.add_constructor(_PREFIX + "int", _construct_integer)


def read_yaml(text: str) -> Any:
    """Read one YAML document: mappings, lists, strings, numbers, booleans and None.

    Raises:
        RecipeError: A key stands twice in one mapping.
        ValueError: The text is not YAML, or nested too deep; the message is one line.
    """
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 (a SafeLoader)
    except (yaml.YAMLError, ValueError) as error:
        raise ValueError(" ".join(str(error).split())) from error
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def write_yaml(document: Any) -> str:
    """Write a document such that `read_yaml` gives back an equal one, and so does a reader of YAML 1.1."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
