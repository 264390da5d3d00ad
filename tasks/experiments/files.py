"""Writes a comparison into a folder: Markdown, CSV, Parquet and a picture."""

import io
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from thaw.tasks.artifacts.atomic import make_folder, write_atomically
from thaw.tasks.artifacts.manifest import digest_of
from thaw.tasks.experiments.plot import draw_comparison
from thaw.tasks.experiments.summary import Comparison
from thaw.tasks.experiments.tables import word_tables
from thaw.tasks.report.pictures.style import save_picture

FOLDER_NAME = "comparisons"
PICTURE_NAME = "accuracy_against_seconds.png"
_DIGITS = 16  # of the digest; enough to tell the comparisons of one home folder apart
_TABLE_FORMATS = {"csv": pyarrow.csv.write_csv, "parquet": partial(pq.write_table, compression="zstd")}


def default_folder(home: Path, comparison: Comparison) -> Path:
    """Say where a comparison goes if nothing else is asked for.

    The folder is named after the recipes, the seeds and the weights that they led to; not after how long that took.
    """
    runs = [{"recipe": run.recipe, "seed": run.seed, "weights": run.weights_sha256} for run in comparison.runs]
    return home / FOLDER_NAME / digest_of({"runs": runs})[:_DIGITS]


def write_comparison(folder: Path, comparison: Comparison) -> None:
    """Write all files of a comparison; those that are there from before are replaced, each in one step.

    Raises:
        ArtifactError: The folder cannot be written.
    """
    make_folder(folder)
    for name, rows in comparison.model_dump().items():
        if rows:
            table = pa.Table.from_pylist([flatten(row) for row in rows])
            for suffix, write in _TABLE_FORMATS.items():
                buffer = io.BytesIO()
                write(table, buffer)
                write_atomically(folder / f"{name}.{suffix}", buffer.getvalue())
    write_atomically(folder / "comparison.json", comparison.model_dump_json(indent=1).encode())
    write_atomically(folder / PICTURE_NAME, _picture(comparison))
    write_atomically(folder / "comparison.md", markdown(comparison).encode())


def markdown(comparison: Comparison) -> str:
    """Write a comparison as a page of Markdown, which shows the picture that is written beside it."""
    parts = [f"# {', '.join(row.recipe for row in comparison.recipes)}"]
    for table in word_tables(comparison):
        parts += [table.title, table.markdown()]
    parts.append(f"![Test accuracy against training seconds]({PICTURE_NAME})")
    return "\n\n".join(parts) + "\n"


def flatten(document: dict[str, Any]) -> dict[str, Any]:
    """Bring a nested document into one row: values by the path of their keys, joined by "_"; a list is one text."""
    row: dict[str, Any] = {}
    for key, value in document.items():
        if isinstance(value, dict):
            row |= {f"{key}_{inner}": each for inner, each in flatten(value).items()}
        else:
            row[key] = " ".join(map(str, value)) if isinstance(value, list) else value
    return row


def _picture(comparison: Comparison) -> bytes:
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary, PICTURE_NAME)
        save_picture(path, lambda: draw_comparison(comparison))
        return path.read_bytes()
