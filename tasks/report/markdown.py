"""The report for Prefect's UI: one Markdown text that needs nothing else, its pictures as data URIs. No TensorFlow."""

import html
import re
from itertools import chain
from pathlib import Path

from markupsafe import Markup

from thaw.tasks.report.content import Answer, Changed, ReportContent
from thaw.tasks.report.page import embed, sides, template

MOST_BYTES = 950_000  # of all data URIs; with the trend, which the flow adds, an artifact stays under a megabyte
_MOST_OF_A_KIND = 6  # images


def render_markdown(content: ReportContent, pictures: Path) -> str:
    """Write what `report.html` shows first, with the PNG files of a folder in it. What comes from data is escaped.

    Pictures that find no room any more have their words in their place.
    """
    worse, better = _some(content.worse), _some(content.better)
    wrong = content.metrics["examples"] - content.metrics["correct"]
    mistakes = content.mistakes[:_MOST_OF_A_KIND]
    return template("report.md.j2", md=escaped, line=_line).render(
        vars(content)
        | {
            "sides": sides(content.verdict, content.metrics["confidence"]),
            "picture": _Room(MOST_BYTES).picture,
            "pictures": {path.stem: embed(path)["uri"] for path in sorted(pictures.glob("*.png"))},
            "worse": worse,
            "more_worse": content.worse.images - len(worse) if content.worse else 0,
            "better": better,
            "more_better": content.better.images - len(better) if content.better else 0,
            "mistakes": mistakes,
            "more_mistakes": wrong - len(mistakes),
        }
    )


def escaped(text: str) -> Markup:
    """Write a text such that nothing in it acts as Markdown or HTML: a class may be named as any folder can be."""
    escaped = html.escape(_line(text), quote=False)
    return Markup(re.sub(r"([\\`*_\[\]|~])", r"\\\1", escaped))  # noqa: S704 (it is escaped here)


def _line(text: str) -> str:
    return " ".join(text.split())  # an empty line would end a block of HTML


class _Room:
    """Gives pictures their place for as long as there is room."""

    def __init__(self, most: int) -> None:
        self._left = most

    def picture(self, uri: str, words: str, width: int) -> Markup:
        if len(uri) > self._left:
            return escaped(words)
        self._left -= len(uri)
        return Markup('<img src="{}" alt="{}" width="{}">').format(uri, _line(words), width)


def _some(changed: Changed | None) -> list[Answer]:
    """Take images of many classes rather than many of one."""
    if changed is None:
        return []
    by_class = [each.answers for each in changed.classes]
    turns = (answers[turn] for turn in range(_MOST_OF_A_KIND) for answers in by_class if turn < len(answers))
    return list(chain(turns))[:_MOST_OF_A_KIND]
