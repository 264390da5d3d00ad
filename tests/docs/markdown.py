"""Reads what the tests look at in a Markdown file: sections, tables, blocks of code, links. Standard library only."""

import itertools
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]

_CODE = re.compile(r"`([^`]+)`")
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_COMMAND = re.compile(r"^(?:\$ )?(?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?thaw (?=\S)")


@dataclass
class Section:
    """A heading's names (what stands in backticks in it), and the rows of the tables below it, by column."""

    names: list[str]
    rows: list[dict[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Command:
    """A `thaw …` command of a page, without the word thaw; `answer` is the line after it, in a block of code."""

    arguments: list[str]
    is_inline: bool
    answer: str


def code_in(text: str) -> list[str]:
    return _CODE.findall(text)


def inline_code(page: Path) -> list[str]:
    """List what stands in backticks, outside of the blocks of code."""
    return code_in(_FENCE.sub("", page.read_text(encoding="utf-8")))


def sections(page: Path) -> list[Section]:
    found = [Section([])]
    columns: list[str] = []
    for line in _FENCE.sub("", page.read_text(encoding="utf-8")).splitlines():
        if line.startswith("#"):
            found.append(Section(code_in(line)))
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
        if not cells:
            columns = []
        elif not columns:
            columns = cells
        elif not set(line) <= set("|- "):
            found[-1].rows.append(dict(zip(columns, cells, strict=True)))
    return found


def blocks(page: Path, language: str) -> list[str]:
    return [text for name, text in _FENCE.findall(page.read_text(encoding="utf-8")) if name == language]


def links(page: Path) -> list[str]:
    return [link for link in _LINK.findall(page.read_text(encoding="utf-8")) if "://" not in link]


def commands(page: Path) -> Iterator[Command]:
    for block in blocks(page, ""):
        lines = [*block.splitlines(), ""]
        for line, answer in itertools.pairwise(lines):
            if prefix := _COMMAND.match(line):
                yield Command(shlex.split(line[prefix.end() :], comments=True), is_inline=False, answer=answer)
    for code in inline_code(page):
        if prefix := _COMMAND.match(code):
            yield Command(shlex.split(code[prefix.end() :]), is_inline=True, answer="")
