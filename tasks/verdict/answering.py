"""Lets a release answer for test images. TensorFlow; runs in a child process.

The images are those of the records: upright, and shrunk if that recipe's `records.max_side` says so. From there on a
release does with them what it does with any image.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa

from thaw.pipeline_config.errors import PublishError
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.artifacts.store import ArtifactStore
from thaw.tasks.evaluation.examples import read_example
from thaw.tasks.formats.base import ModelContext
from thaw.tasks.formats.members import as_input, load_first
from thaw.tasks.home import Home
from thaw.tasks.ingest.dataset import training_rows
from thaw.tasks.ingest.step import IngestStep
from thaw.tasks.process import Reporter
from thaw.tasks.records.read import SplitReader
from thaw.tasks.releases.checksums import verify_checksums
from thaw.tasks.releases.learned_from import LEARNED_FROM_NAME, prefix, read_learned_from
from thaw.tasks.releases.release import read_in_place
from thaw.tasks.releases.test_split import PREDICTIONS_NAME, tested_on
from thaw.tasks.releases.verdict import ReleasedModel
from thaw.tasks.verdict.answers import Answer, answers_table

_BATCH_SIZE = 32


def answers_of_release(model: ReleasedModel, home: Home, test: SplitReader, reporter: Reporter) -> pa.Table:
    """Let a release answer for a split: a table of answers.

    Raises:
        PublishError: It is missing or damaged, or gives a probability that is not finite.
        RequestError: What its formats need is not installed.
    """
    folder = home.registry.get(model.release).path
    verify_checksums(folder)  # before anything of it is loaded, because loading a model may run code
    release = read_in_place(folder)
    if release.model != model:
        raise PublishError(f"{folder} has changed since it was chosen for the comparison. Run again.")
    score = load_first(folder, ModelContext.of(release))
    learned_from, tested = _learned_from(home.store, folder, model), _tested_on(folder)
    rows: list[Answer] = []
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
            learned = learned_from is None or prefix(example.id) in learned_from
            is_new = not learned and tested is not None and example.id not in tested
            said = release.classes[label], float(row[label])
            rows.append((example.id, test.classes[example.label], *said, learned, is_new))
        reporter.progress(len(rows) / test.examples, f"{model.release}: {len(rows):,} of {test.examples:,} test images")
    return answers_table(rows)


def _tested_on(folder: Path) -> set[str] | None:
    """Find which images a release was tested on; None where nothing says so."""
    return set(tested_on(folder)) if (folder / PREDICTIONS_NAME).exists() else None


def _learned_from(store: ArtifactStore, folder: Path, model: ReleasedModel) -> set[bytes] | None:
    """Find which images a release was trained or validated on; None where nothing says so any more."""
    if (folder / LEARNED_FROM_NAME).exists():
        return read_learned_from(folder)
    # A release of an earlier thaw does not say; its dataset may still be there.
    dataset = ArtifactRef(kind=IngestStep.kind, digest=model.dataset) if model.dataset else None
    if dataset is None or not store.folder(dataset).exists():
        return None
    ids = training_rows(store.verified(dataset), ["id"])["id"].to_pylist()
    return {prefix(image) for image in ids}
