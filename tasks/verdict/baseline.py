"""What others answer for the test images of a new model, in a child process.

The images are those of the records: upright, and shrunk if the new recipe's `records.max_side` says so. From there on
each release does with them what it does with any image.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from thaw.pipeline_config.errors import PublishError
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.artifacts.store import ArtifactStore
from thaw.tasks.devices import choose_devices
from thaw.tasks.evaluation.examples import Example, read_example
from thaw.tasks.evaluation.predictions import write_table
from thaw.tasks.formats.base import ModelContext
from thaw.tasks.formats.members import as_input, load_first
from thaw.tasks.home import Home
from thaw.tasks.ingest.dataset import training_ids
from thaw.tasks.ingest.step import IngestStep
from thaw.tasks.process import Reporter
from thaw.tasks.records.read import SplitReader
from thaw.tasks.releases.checksums import verify_checksums
from thaw.tasks.releases.learned_from import LEARNED_FROM_NAME, prefix, read_learned_from
from thaw.tasks.releases.release import read_in_place
from thaw.tasks.releases.verdict import ReleasedModel
from thaw.tasks.verdict.step import LARGEST_CLASS, BaselineFacts, BaselineWork, Score, table_name

_BATCH_SIZE = 32

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("class_name", pa.string()),
        ("predicted_class", pa.string()),
        ("probability", pa.float32()),
        ("learned_from", pa.bool_()),
    ]
)


def answer(work: BaselineWork, reporter: Reporter) -> BaselineFacts:
    """Write a table with the columns of `SCHEMA` for each that answers: a row per test image, in the records' order.

    Raises:
        ArtifactError: The records are damaged.
        PublishError: A release is missing or damaged, or gives a probability that is not finite.
        RequestError: What the release's formats need is not installed.
    """
    step, home = work.step, work.home
    choose_devices(step.devices)
    records = home.store.verified(step.records)
    scores = {}
    with SplitReader(records, "test") as test, SplitReader(records, "train") as train:
        for name, model in step.models.items():
            table = _answers(model, home, test, reporter)
            scores[name] = _write(work, name, table)
            reporter.log(f"{model.release}, the {name}: right on {scores[name].right:,} of {test.examples:,} images")
        if step.champion is None:
            largest = train.classes[int(np.argmax(train.class_counts))]
            share = max(train.class_counts) / train.examples
            scores[LARGEST_CLASS] = _write(work, LARGEST_CLASS, _always(largest, share, test))
    return BaselineFacts(champion=step.champion, anchor=step.anchor, scores=scores)


def _answers(model: ReleasedModel, home: Home, test: SplitReader, reporter: Reporter) -> pa.Table:
    folder = home.registry.get(model.release).path
    verify_checksums(folder)  # before anything of it is loaded, because loading a model may run code
    release = read_in_place(folder)
    if release.model != model:
        raise PublishError(f"{folder} has changed since it was chosen for the comparison. Run again.")
    score = load_first(folder, ModelContext.of(release))
    learned_from = _learned_from(home.store, folder, model)
    rows: list[tuple[str, str, str, float, bool]] = []
    for start in range(0, test.examples, _BATCH_SIZE):
        examples = [read_example(test, index) for index in range(start, min(start + _BATCH_SIZE, test.examples))]
        probabilities = score([as_input(example.encoded, release.input) for example in examples])
        if not np.isfinite(probabilities).all():
            raise PublishError(
                f"{folder} gives a probability that is not finite for a test image, expected numbers from 0 to 1. "
                "Use thaw releases promote with another release."
            )
        best = probabilities.argmax(axis=1)
        for example, label, row in zip(examples, best, probabilities, strict=True):
            seen = learned_from is None or prefix(example.id) in learned_from
            rows.append((example.id, test.classes[example.label], release.classes[label], float(row[label]), seen))
        reporter.progress(len(rows) / test.examples, f"{model.release}: {len(rows):,} of {test.examples:,} test images")
    return _table(rows)


def _always(class_name: str, share: float, test: SplitReader) -> pa.Table:
    examples: list[Example] = [read_example(test, index) for index in range(test.examples)]
    return _table([(each.id, test.classes[each.label], class_name, share, False) for each in examples])


def _table(rows: Sequence[tuple[str, str, str, float, bool]]) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else [()] * len(SCHEMA)
    return pa.table([list(column) for column in columns], schema=SCHEMA)


def _write(work: BaselineWork, name: str, table: pa.Table) -> Score:
    write_table(table, work.folder / table_name(name))
    right = sum(truth == said for truth, said in zip(table["class_name"], table["predicted_class"], strict=True))
    return Score(right=right, images=table.num_rows, learned_from=sum(table["learned_from"].to_pylist()))


def _learned_from(store: ArtifactStore, folder: Path, model: ReleasedModel) -> set[bytes] | None:
    """Find which images a release was trained or validated on; None where nothing says so any more."""
    if (folder / LEARNED_FROM_NAME).exists():
        return read_learned_from(folder)
    # A release of an earlier thaw does not say; its dataset may still be there.
    dataset = ArtifactRef(kind=IngestStep.kind, digest=model.dataset) if model.dataset else None
    if dataset is None or not store.folder(dataset).exists():
        return None
    return {prefix(image) for image in training_ids(store.verified(dataset))}
