"""What the pages say is so: keys and defaults, commands, recipes, links. No TensorFlow, no Prefect."""

import contextlib
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import pytest
from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo
from typer.main import get_command

from tests.docs.markdown import PAGES, ROOT, Command, Section, blocks, code_in, commands, inline_code, links, sections
from thaw.flows.cli import app
from thaw.flows.graph import GRAPH
from thaw.pipeline_config.backbones import BACKBONES
from thaw.pipeline_config.errors import RecipeError
from thaw.pipeline_config.loading import load_recipe, parse_recipe, shipped_recipes
from thaw.pipeline_config.schema import Recipe
from thaw.pipeline_config.yaml_dialect import read_yaml

RECIPES_PAGE = ROOT / "docs" / "recipes.md"
DOCUMENTED = sections(RECIPES_PAGE)
# Where an address in a tracked file may lead: not to a package registry, a mirror, or a machine of somebody's.
PUBLIC_HOSTS = {"127.0.0.1", "storage.googleapis.com", "www.apache.org", "www.w3.org"}
# Folders of one machine, put together so that this file does not hold them itself.
MACHINE_PATH = re.compile(rf"(?<![\w.])/(?:{'|'.join(('work', 'root', 'home', 'Users', 'opt', 'mnt'))})/\w")
# Of a recipe, with or without a value; not a file.
_KEY = re.compile(r"([a-z_]+(?:\.[a-z_]+)+)(?<!\.yaml)(?<!\.json)(?<!\.keras)(?<!\.resolved)(?:[:=]|$)")
ADDRESS = re.compile(r"\b[a-z]+://([\w.-]*)")


def models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in models_in(part)]


def literals_in(annotation: Any) -> list[str]:
    parts = get_args(annotation)
    if get_origin(annotation) is Literal:
        return [part for part in parts if isinstance(part, str)]
    return [word for part in parts for word in literals_in(part)]


def key_of(name: str, field: FieldInfo) -> str:
    return field.alias or name


def walk(model: type[BaseModel], path: str) -> Iterator[tuple[str, list[type[BaseModel]]]]:
    """Give each path at which the recipe holds mappings of its own, and the models that may stand there."""
    for name, field in model.model_fields.items():
        if found := models_in(field.annotation):
            here = f"{path}{key_of(name, field)}"
            yield here, found
            for each in found:
                yield from walk(each, f"{here}.")


def discriminator(models: list[type[BaseModel]]) -> str | None:
    """Name the key that tells the models of one place apart, if there is one."""
    for name in ("kind", "name", "rule"):
        if all(name in model.model_fields and model.model_fields[name].is_required() for model in models):
            return name
    return None


def cases() -> dict[str, list[type[BaseModel]]]:
    places: dict[str, list[type[BaseModel]]] = {"recipe": [Recipe]}
    for path, models in walk(Recipe, ""):
        # A stage's `augment` is the recipe's; it is described once.
        places.setdefault("augment" if path.endswith(".augment") else path, models)
    return places


CASES = cases()


def section_of(path: str) -> Section:
    found = [section for section in DOCUMENTED if path in section.names and any("key" in row for row in section.rows)]
    assert len(found) == 1, f"docs/recipes.md needs one heading with `{path}` and a table with the columns key, default"
    return found[0]


def rows_of(section: Section, model: type[BaseModel], tag_key: str | None) -> dict[str, dict[str, str]]:
    rows = [row for row in section.rows if "key" in row]
    if tag_key is not None:
        (tag,) = literals_in(model.model_fields[tag_key].annotation)
        rows = [row for row in rows if code_in(row[tag_key]) == [tag]]
        assert rows, f"{model.__name__}: no row of docs/recipes.md has `{tag}` in the column {tag_key}"
    return {code_in(row["key"])[0]: row for row in rows}


def default_of(row: dict[str, str], field: FieldInfo) -> Any:
    (text,) = code_in(row["default"])
    whole: Any = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
    return TypeAdapter(whole).validate_json(json.dumps(read_yaml(text)))


@pytest.mark.parametrize("path", CASES)
def test_every_key_of_the_recipe_is_documented_with_its_default_and_its_choices(path: str) -> None:
    models = CASES[path]
    section, tag_key = section_of(path), discriminator(models) if len(models) > 1 else None
    for model in models:
        rows = rows_of(section, model, tag_key)
        for name, field in model.model_fields.items():
            if name == tag_key:
                continue
            key = key_of(name, field)
            assert key in rows, f"{path}: {key} has no row"
            if field.is_required():
                assert rows[key]["default"] == "required", key
            else:
                assert default_of(rows[key], field) == field.get_default(call_default_factory=True), key
            if not models_in(field.annotation):
                missing = set(literals_in(field.annotation)) - set(code_in(" ".join(rows[key].values())))
                assert not missing, f"{path}.{key}: the row does not name {missing}"


def upper_bounds(field: FieldInfo) -> set[str]:
    """The ways to write a number's upper bound; none for a share, whose bound is 1 or less."""
    values = [getattr(bound, name, None) for bound in field.metadata for name in ("le", "lt")]
    return {
        f"{value - step:.0f}" for value in values if isinstance(value, int | float) and value > 1 for step in (0, 1)
    }


@pytest.mark.parametrize("path", CASES)
def test_every_upper_bound_is_documented(path: str) -> None:
    models = CASES[path]
    section, tag_key = section_of(path), discriminator(models) if len(models) > 1 else None
    for model in models:
        rows = rows_of(section, model, tag_key)
        for name, field in model.model_fields.items():
            if bounds := upper_bounds(field):
                words = re.findall(r"[\d.]*\d", rows[key_of(name, field)]["type and meaning"])
                assert bounds & set(words), f"{path}.{name}: the row does not say {bounds}"


@pytest.mark.parametrize("path", CASES)
def test_no_key_is_documented_that_the_recipe_does_not_have(path: str) -> None:
    keys = {code_in(row["key"])[0] for row in section_of(path).rows if "key" in row}
    known = {key_of(name, field) for model in CASES[path] for name, field in model.model_fields.items()}
    assert keys <= known


def test_every_backbone_is_in_the_table() -> None:
    rows = [row for section in DOCUMENTED for row in section.rows if "`backbone`" in row]
    assert [code_in(row["`backbone`"])[0] for row in rows] == list(BACKBONES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file(page: Path) -> None:
    missing = [link for link in links(page) if not (page.parent / link.partition("#")[0]).is_file()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_of_the_code_that_is_named_exists(page: Path) -> None:
    named = re.findall(r"`((?:flows|tasks|pipeline_config|tests|benchmarks)/[\w/.]+)`", page.read_text("utf-8"))
    assert [name for name in named if not (ROOT / name).exists() and "sharpness" not in name] == []  # an example


def environments() -> list[dict[str, str]]:
    rows = [row for section in sections(ROOT / "docs" / "operations.md") for row in section.rows]
    return [row for row in rows if "environment" in row]


@pytest.mark.parametrize("row", environments(), ids=lambda row: row["environment"][:40])
def test_every_environment_that_breaks_programs_has_its_test(row: dict[str, str]) -> None:
    names = code_in(row["test"])
    assert names
    for name in names:
        file, _, function = name.partition("::")
        assert f"\ndef {function}(" in (ROOT / file).read_text("utf-8"), name


def test_no_addition_touches_more_than_four_files() -> None:
    rows = [row for section in sections(ROOT / "docs" / "contributing.md") for row in section.rows]
    assert len(rows) == 12
    assert [row["addition"] for row in rows if len(row["files"].split(";")) > 4] == []


def test_the_tasks_that_the_pages_list_are_those_of_the_run() -> None:
    names = [node.name for node in GRAPH]
    readme = (ROOT / "README.md").read_text("utf-8")
    tables = re.findall(r"(?m)^task .*\n((?:[a-z_]+ +(?:completed|cached|would run).*\n)+)", readme)
    assert len(tables) == 3
    for table in tables:
        listed = [line.split()[0] for line in table.splitlines()]
        assert listed == [name for name in names if name in listed]
        assert set(names) - set(listed) <= {"features_one", "features_two", "feature_drift"}


def shown_commands() -> list[tuple[str, Command]]:
    return [(page.name, command) for page in PAGES for command in commands(page)]


def test_the_pages_show_commands() -> None:
    shown = {command.arguments[0] for _, command in shown_commands() if not command.is_inline}
    assert shown >= {"run", "predict", "serve", "releases"}


@pytest.mark.parametrize(
    ("page", "shown"), shown_commands(), ids=lambda value: " ".join(getattr(value, "arguments", [value]))
)
def test_every_command_that_is_shown_is_understood(page: str, shown: Command) -> None:
    command: Any = get_command(app)
    name, arguments = "thaw", shown.arguments
    while arguments and hasattr(command, "commands"):
        name, *arguments = arguments
        assert name in command.commands, f"{page}: there is no thaw {name}"
        command = command.commands[name]
    if arguments or not shown.is_inline:  # in the text, `thaw run` stands for the command as such
        command.make_context(name, list(arguments))


def shown_runs() -> list[Command]:
    return [shown for _, shown in shown_commands() if shown.arguments[0] == "run" and len(shown.arguments) > 1]


@pytest.mark.parametrize("shown", shown_runs(), ids=lambda shown: " ".join(shown.arguments))
def test_every_run_that_is_shown_has_a_valid_recipe_or_shows_the_error(shown: Command, tmp_path: Path) -> None:
    run: Any = get_command(app)
    parsed = run.commands["run"].make_context("run", shown.arguments[1:]).params
    recipe = parsed["recipe"]
    if recipe not in shipped_recipes():
        assert recipe == "flowers.yaml"  # the one that the README gives
        (tmp_path / recipe).write_text(blocks(ROOT / "README.md", "yaml")[0])
        recipe = str(tmp_path / recipe)
    expected: Any = contextlib.nullcontext()
    if shown.answer.startswith("thaw: ") and "is not a key" in shown.answer:
        expected = pytest.raises(RecipeError, match=re.escape(shown.answer.removeprefix("thaw: ").rstrip("… ")))
    with expected:
        load_recipe(recipe, tuple(parsed["set_"] or ()), data=parsed["data"], weights=parsed["weights"])


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "yaml")], ids=lambda page: page.name)
def test_every_recipe_that_is_shown_is_valid(page: Path) -> None:
    for text in blocks(page, "yaml"):
        parse_recipe(read_yaml(text))


def tracked_texts() -> Iterator[tuple[str, str]]:
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        names = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git repository")
    for name in filter(None, names.split("\0")):
        try:
            yield name, (ROOT / name).read_text(encoding="utf-8")
        except (FileNotFoundError, IsADirectoryError, UnicodeDecodeError):
            continue  # removed, a link to a folder, or a picture


def test_no_file_names_a_folder_of_one_machine_or_the_address_of_a_registry() -> None:
    found = []
    for name, text in tracked_texts():
        found += [f"{name}: {match[0]}" for match in MACHINE_PATH.finditer(text)]
        hosts = {match[1] for match in ADDRESS.finditer(text)} - PUBLIC_HOSTS
        found += [f"{name}: {host}" for host in sorted(hosts) if "." in host]
    assert not found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_key_of_a_recipe_that_is_named_is_one(page: Path) -> None:
    known = {f"{section}.{key}" for each in DOCUMENTED for section in each.names for row in each.rows
             for key in code_in(row.get("key", ""))}  # fmt: skip
    known |= {name for each in DOCUMENTED for name in each.names}
    tops = {name.partition(".")[0] for name in known}
    found = [_KEY.match(code) for code in inline_code(page)]
    assert {match[1] for match in found if match and match[1].partition(".")[0] in tops} <= known
