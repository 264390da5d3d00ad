"""The table of what one model answers for test images: a row for each, in the records' order. No TensorFlow."""

from collections.abc import Sequence

import pyarrow as pa

from thaw.tasks.evaluation.predictions import top_probability

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("class_name", pa.string()),
        ("predicted_class", pa.string()),
        ("probability", pa.float32()),
        ("learned_from", pa.bool_()),
        ("is_new", pa.bool_()),  # neither learned from nor tested on
    ]
)

Answer = tuple[str, str, str, float, bool, bool]


def answers_table(rows: Sequence[Answer]) -> pa.Table:
    """Make the table of its rows."""
    columns = zip(*rows, strict=True) if rows else [()] * len(SCHEMA)
    return pa.table([list(column) for column in columns], schema=SCHEMA)


def answers_of_evaluation(predictions: pa.Table) -> pa.Table:
    """Take a new model's answers from its predictions table; its own test images are not new, and it did not learn."""
    return pa.table(
        [
            *(predictions[name] for name in ("id", "class_name", "predicted_class")),
            top_probability(predictions).astype("float32"),
            *([[False] * predictions.num_rows] * 2),
        ],
        schema=SCHEMA,
    )
