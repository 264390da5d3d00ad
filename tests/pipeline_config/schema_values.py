"""From the schema to values: such as it allows, at its edges too, and such as nobody should write."""

import copy
import math
from typing import Any

from hypothesis import strategies as st

from tests.pipeline_config.schema_walk import SHARED, WHOLE, Part
from thaw.pipeline_config.backbones import BACKBONES

# Strings that a validator has its own mind about.
_WORDS: dict[str, st.SearchStrategy[Any]] = {
    "backbone": st.sampled_from(sorted(BACKBONES)),
    "url": st.sampled_from(
        ["https://host/a.zip", "https://host/a.zip?token=s3cr3t", "file:///a.zip", "http://h:80/a@b"]
    ),
    "sha256": st.sampled_from(["0" * 64, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]),
    "cron": st.sampled_from(["0 3 * * 1", "*/5 * * * *", "0 0 29 2 *", "59 23 L * 7"]),
    "interval": st.sampled_from(["30m", "2d", "0m", "6"]),
    "rrule": st.sampled_from(["FREQ=DAILY", "DTSTART:20260105T030000\nFREQ=WEEKLY;INTERVAL=2", "FREQ=SECONDLY"]),
    "timezone": st.sampled_from(["UTC", "Europe/Paris"]),
    "path": st.sampled_from(
        ["photos", "images.csv", "images.parquet", "none/*.parquet", "a b/é", "s3://b/x?region=eu"]
    ),
    "data_dir": st.just("prepared"),
    "weights": st.sampled_from(["imagenet", "w.weights.h5", "champion"]),
    "subdirectory": st.sampled_from(["a", "a/b"]),
}
_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)


def allowed(schema: Part, name: str = "") -> st.SearchStrategy[Any]:
    """Values of a part of the schema, under the key of that name: mostly valid ones."""
    kind = schema["type"]
    if kind == "model-fields":
        return _mappings(schema)
    if kind in ("union", "tagged-union"):
        choices = schema["choices"]
        members = list(choices.values() if isinstance(choices, dict) else choices)
        return st.one_of([allowed(each[0] if isinstance(each, tuple) else each, name) for each in members])
    if kind in ("list", "tuple", "dict"):
        return _collections(schema, name)
    if kind in ("str", "int", "float", "literal", "bool"):
        return _scalars(schema, name)
    if kind == "definition-ref":
        return allowed(SHARED[schema["schema_ref"]], name)
    inside = allowed(schema["schema"], name)
    return st.none() | inside if kind == "nullable" else inside


def _mappings(schema: Part) -> st.SearchStrategy[Any]:
    needed: dict[str, Any] = {}
    optional: dict[str, Any] = {}
    for name, field in schema["fields"].items():
        of_kind = optional if field["schema"]["type"] == "default" else needed
        of_kind[field.get("validation_alias", name)] = allowed(field["schema"], name)
    return st.fixed_dictionaries(needed, optional=optional)


def _collections(schema: Part, name: str) -> st.SearchStrategy[Any]:
    least = schema.get("min_length", 0)
    if schema["type"] == "list":
        return st.lists(allowed(schema["items_schema"], name), min_size=least, max_size=3)
    if schema["type"] == "tuple":
        return st.tuples(*(allowed(item, name) for item in schema["items_schema"])).map(sorted)
    keys, values = allowed(schema["keys_schema"]), allowed(schema["values_schema"], name)
    return st.dictionaries(keys, values, min_size=least, max_size=3)


def _scalars(schema: Part, name: str) -> st.SearchStrategy[Any]:
    match schema["type"]:
        case "literal":
            return st.sampled_from(schema["expected"])
        case "bool":
            return st.booleans()
        case "int" | "float":
            return st.sampled_from(_inside(schema))
    if name in _WORDS:
        return _WORDS[name]
    return st.from_regex(schema["pattern"], fullmatch=True) if "pattern" in schema else _TEXT


def _edges(schema: Part) -> list[tuple[str, Any]]:
    return [(edge, schema[edge]) for edge in ("ge", "gt", "le", "lt") if edge in schema]


def _inside(schema: Part) -> list[Any]:
    """Numbers at the bounds of a part, and a moderate one."""
    whole = schema["type"] == "int"
    steps = {"ge": 0, "le": 0, "gt": 1, "lt": -1}
    found = [_step(value, steps[edge], whole) for edge, value in _edges(schema)]
    moderate = [number for number in (1, 2, 8, 100, 0.5, 0.75) if all(_holds(number, *edge) for edge in _edges(schema))]
    return [*found, *[number for number in moderate if not whole or isinstance(number, int)][:3]]


def _step(value: Any, direction: int, whole: bool) -> Any:
    return value + direction if whole else math.nextafter(value, direction * math.inf) if direction else float(value)


def _holds(number: float, edge: str, value: float) -> bool:
    return {"ge": number >= value, "gt": number > value, "le": number <= value, "lt": number < value}[edge]


def _nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value


_ODD_NUMBERS = [-1, 0, 2**31, 2**63, 2**64, -(2**63), 10**20, 10**400, 1e308, 5e-324, -0.0, math.inf, math.nan, 0.1]
_ODD_TEXTS = [
    "",
    "9" * 5000,
    "a" * 100_000,
    "a/" * 3000,
    "\0",
    "\n",
    "\x1b[31m",
    "~",
    "~nobody/a",
    "\ud800",
    "\udcff",
    "[x]",
]
_ODD_TEXTS += [
    "e\u0301" * 500,
    "\u202e",
    "https://me:s3cr3t@host/a",
    "ftp://host/a?key=s3cr3t",
    "https://me:s3cr3t/x@host/a",
    "see https://host/a?key=t0ken",
]
_ODD_THINGS: list[Any] = [None, True, [], {}, {"name": "adam"}, {"kind": "digits"}, {"from": "train"}, {"a" * 5000: 1}]
_ODD_THINGS += [["x"] * 2000, [[]] * 500, *map(_nested, (50, 99, 150, 400))]
# Beyond every bound, of every wrong type, and such as break what reads, compares, counts or prints them.
JUNK: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(_ODD_NUMBERS),
    st.sampled_from(_ODD_TEXTS),
    st.sampled_from(_ODD_THINGS),
    st.integers() | st.floats() | st.text(max_size=40),
).map(copy.deepcopy)  # for what is drawn may be changed
_DOCUMENTS = allowed(WHOLE)


def places(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """List the ways into a document: keys and indices."""
    found = [path] if path else []
    inside = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in inside:
        found += places(value, (*path, key))
    return found


@st.composite
def spoilt(draw: st.DrawFn) -> Any:
    """A document as the schema allows it, in which something may be junk, be left out, or stand under another key."""
    document = draw(_DOCUMENTS)
    for _ in range(draw(st.integers(0, 2))):
        *parents, last = draw(st.sampled_from(places(document)))
        inside: Any = document
        for key in parents:
            inside = inside[key]
        match draw(st.sampled_from(["junk", "junk", "gone", "renamed"])):
            case "gone":
                del inside[last]
            case "renamed" if isinstance(inside, dict):
                inside[draw(st.text(max_size=10) | st.just("x" * 6000))] = inside.pop(last)
            case _:
                inside[last] = draw(JUNK)
    return document
