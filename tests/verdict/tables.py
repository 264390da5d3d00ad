"""Tables of answers, made by hand: `1` is right, `0` is wrong.

Of the images, `x` marks one that the other has learned from, and `n` one that is new to it.
"""

import numpy as np
import pyarrow as pa

from thaw.tasks.evaluation.predictions import predictions_table
from thaw.tasks.releases.verdict import Comparison
from thaw.tasks.verdict.answers import SCHEMA, answers_of_evaluation
from thaw.tasks.verdict.comparison import compare

CLASSES = ["cat", "dog"]


def ids(count: int) -> list[str]:
    return [f"{number:064x}" for number in range(count)]


def predictions(right: str) -> pa.Table:
    labels = np.arange(len(right)) % 2
    predicted = [label if mark == "1" else 1 - label for label, mark in zip(labels, right, strict=True)]
    return predictions_table(ids(len(right)), labels, np.eye(2, dtype=np.float32)[predicted], CLASSES)


def candidate(right: str) -> pa.Table:
    return answers_of_evaluation(predictions(right))


def other(right: str, marks: str = "") -> pa.Table:
    rows = list(zip(ids(len(right)), right, marks.ljust(len(right), "."), strict=True))
    truth = [CLASSES[number % 2] for number in range(len(rows))]
    said = [name if mark == "1" else "cow" for name, (_, mark, _) in zip(truth, rows, strict=True)]
    learned_from, is_new = ([mark == wanted for *_, mark in rows] for wanted in "xn")
    return pa.table([ids(len(rows)), truth, said, [0.75] * len(rows), learned_from, is_new], schema=SCHEMA)


def comparison(gained: int, lost: int, images: int) -> Comparison:
    both = "1" * (images - gained - lost)
    return compare(candidate("1" * gained + "0" * lost + both), other("0" * gained + "1" * lost + both))
