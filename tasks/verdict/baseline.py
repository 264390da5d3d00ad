"""What others answer for the test images of a new model, in a child process."""

import numpy as np
import pyarrow as pa

from thaw.tasks.devices import choose_devices
from thaw.tasks.evaluation.examples import read_example
from thaw.tasks.evaluation.predictions import write_table
from thaw.tasks.process import Reporter
from thaw.tasks.records.read import SplitReader
from thaw.tasks.releases.test_split import name_of_split
from thaw.tasks.verdict.answering import answers_of_release
from thaw.tasks.verdict.answers import answers_table
from thaw.tasks.verdict.step import LARGEST_CLASS, BaselineFacts, BaselineWork, Score, table_name


def answer(work: BaselineWork, reporter: Reporter) -> BaselineFacts:
    """Write a table of answers for each that answers.

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
            table = answers_of_release(model, home, test, reporter)
            scores[name] = _write(work, name, table)
            reporter.log(f"{model.release}, the {name}: right on {scores[name].right:,} of {test.examples:,} images")
        if step.champion is None:
            largest = train.classes[int(np.argmax(train.class_counts))]
            share = max(train.class_counts) / train.examples
            scores[LARGEST_CLASS] = _write(work, LARGEST_CLASS, _always(largest, share, test))
        test_split = name_of_split(read_example(test, index).id for index in range(test.examples))
    return BaselineFacts(champion=step.champion, anchor=step.anchor, scores=scores, test_split=test_split)


def _always(class_name: str, share: float, test: SplitReader) -> pa.Table:
    examples = [read_example(test, index) for index in range(test.examples)]
    return answers_table([(each.id, test.classes[each.label], class_name, share, False, False) for each in examples])


def _write(work: BaselineWork, name: str, table: pa.Table) -> Score:
    write_table(table, work.folder / table_name(name))
    right = sum(truth == said for truth, said in zip(table["class_name"], table["predicted_class"], strict=True))
    return Score(right=right, images=table.num_rows, learned_from=sum(table["learned_from"].to_pylist()))
