"""Finds the test images that the page shows, and makes them small enough for it."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from thaw.tasks.evaluation.examples import read_example
from thaw.tasks.evaluation.predictions import top_probability
from thaw.tasks.records.read import SplitReader
from thaw.tasks.report.content import Answer, Changed, ChangedClass
from thaw.tasks.report.images import small_file
from thaw.tasks.report.selection import Flipped, by_class

_MOST_CLASSES = 6
_MOST_OF_A_CLASS = 4


@dataclass(frozen=True)
class TestImages:
    """The test split with the new model's answers, a predictions table with the origins, in the records' order."""

    __test__ = False  # pytest takes a class of this name for a test

    reader: SplitReader
    table: pa.Table

    def answers(self, rows: Sequence[int]) -> list[Answer]:
        """Show some images, by their rows."""
        top = top_probability(self.table)
        return [self._answer(row, {**self._row(self.table, row), "probability": float(top[row])}) for row in rows]

    def changed(self, flips: pa.Table, how: Flipped) -> Changed:
        """Show what got better or worse, by the table of the images that one of the two models has right."""
        classes, place = by_class(flips, how), {image: row for row, image in enumerate(self.table["id"].to_pylist())}
        found = []
        for name, rows in classes[:_MOST_CLASSES]:
            picked = [self._row(flips, row) for row in rows[:_MOST_OF_A_CLASS]]
            answers = [self._answer(place[row["id"]], row) for row in picked]
            found.append(ChangedClass(name, answers, more=len(rows) - len(answers)))
        rest = sum(len(rows) for _, rows in classes[_MOST_CLASSES:])
        return Changed(images=sum(len(rows) for _, rows in classes), classes=found, more=rest)

    def _answer(self, place: int, row: dict[str, Any]) -> Answer:
        media_type, content = small_file(read_example(self.reader, place).encoded)
        return Answer(
            uri=f"data:{media_type};base64,{base64.b64encode(content).decode()}",
            origin=self.table["origin"][place].as_py(),
            true=row["class_name"],
            predicted=row["predicted_class"],
            probability=row["probability"],
            champion=row.get("champion_class"),
            champion_probability=row.get("champion_probability", 0.0),
        )

    @staticmethod
    def _row(table: pa.Table, row: int) -> dict[str, Any]:
        document: dict[str, Any] = table.slice(row, 1).to_pylist()[0]
        return document
