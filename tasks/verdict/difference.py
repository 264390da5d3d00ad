"""Compares any two releases on one test split, in a child process."""

import pyarrow as pa

from thaw.pipeline_config.publish_schema import Better
from thaw.tasks.devices import choose_devices
from thaw.tasks.ingest.dataset import read_dataset
from thaw.tasks.process import Reporter
from thaw.tasks.records.read import SplitReader
from thaw.tasks.releases.verdict import Comparison
from thaw.tasks.verdict.answering import answers_of_release
from thaw.tasks.verdict.comparison import compare, flips, sentence
from thaw.tasks.verdict.difference_request import Difference, DifferenceWork, Flip
from thaw.tasks.verdict.gates.base import Decision, Rival
from thaw.tasks.verdict.gates.members import gate_of


def compare_releases(work: DifferenceWork, reporter: Reporter) -> Difference:
    """Let two releases answer for a test split, and compare what they say.

    Raises:
        ArtifactError: The records are damaged.
        PublishError: A release is damaged, or gives a probability that is not finite.
        RequestError: What a release's formats need is not installed.
    """
    choose_devices(work.devices, required=False)
    with SplitReader(work.home.store.verified(work.records), "test") as test:
        judged, other = (answers_of_release(model, work.home, test, reporter) for model in (work.judged, work.other))
    compared = compare(judged, other)
    decision = _decide(compared, work.other.release)
    figures = sentence(compared, work.judged.release, work.other.release, learned_from="one of them")
    return Difference(
        judged=work.judged.release,
        other=work.other.release,
        verdict=decision.outcome,
        reason=f"{figures} {decision.why}".strip(),
        compared=compared,
        flips=_list_flips(flips(judged, other), _files(work)),
    )


def _decide(compared: Comparison, other: str) -> Decision:
    if not compared.images:
        return Decision("not comparable", promote=False)
    return gate_of(Better(rule="better")).decide(Rival(other, compared), None)


def _files(work: DifferenceWork) -> dict[str, str]:
    if work.dataset is None:
        return {}
    return {image.id: image.origin for image in read_dataset(work.home.store.verified(work.dataset)).images}


def _list_flips(table: pa.Table, files: dict[str, str]) -> list[Flip]:
    found = [
        Flip(
            id=row["id"],
            file=files.get(row["id"]),
            class_name=row["class_name"],
            judged_class=row["predicted_class"],
            judged_probability=row["probability"],
            other_class=row["champion_class"],
            other_probability=row["champion_probability"],
        )
        for row in table.to_pylist()
    ]
    return sorted(found, key=lambda flip: (flip.judged_class == flip.class_name, -flip.judged_probability, flip.id))
