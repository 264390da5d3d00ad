"""Gives the verdict on a new model, in a child process: the comparison, and what the recipe's rule makes of it."""

import pyarrow.parquet as pq

from thaw.tasks.artifacts.store import write_json
from thaw.tasks.evaluation.predictions import write_table
from thaw.tasks.process import Reporter
from thaw.tasks.releases.verdict import FLIPS_NAME, VERDICT_NAME, Comparison, TestMetrics, Verdict, read_test_metrics
from thaw.tasks.verdict.comparison import compare, flips
from thaw.tasks.verdict.gates.base import Decision, Rival
from thaw.tasks.verdict.gates.members import gate_of
from thaw.tasks.verdict.step import ANCHOR, CHAMPION, LARGEST_CLASS, VerdictStep, VerdictWork, table_name


def judge(work: VerdictWork, reporter: Reporter) -> Verdict:
    """Write the verdict artifact.

    Raises:
        ArtifactError: The evaluation or the baseline is damaged, or they are about different images.
    """
    step, store = work.step, work.home.store
    evaluation, baseline = store.verified(step.evaluation), store.verified(step.baseline)
    candidate = pq.read_table(evaluation / "predictions.parquet")
    rival = LARGEST_CLASS if step.champion is None else CHAMPION
    other = pq.read_table(baseline / table_name(rival))
    anchor = None if step.anchor is None else compare(candidate, pq.read_table(baseline / table_name(ANCHOR)))
    largest_class = other["predicted_class"][0].as_py() if step.champion is None else ""
    verdict = decide(step, read_test_metrics(evaluation), compare(candidate, other), anchor, largest_class)
    write_table(flips(candidate, other), work.folder / FLIPS_NAME)
    write_json(work.folder / VERDICT_NAME, verdict.model_dump(mode="json"))
    reporter.log(verdict.reason)
    return verdict


def decide(
    step: VerdictStep,
    candidate: TestMetrics,
    compared: Comparison,
    anchor: Comparison | None = None,
    largest_class: str = "",
) -> Verdict:
    """Apply the recipe's rule to how a new model compares, with the champion or else with the largest class."""
    decision, figures = _decision(step, compared, anchor), _figures(step, candidate, compared, largest_class)
    return Verdict(
        verdict=decision.outcome,
        promote=decision.promote,
        reason=" ".join(filter(None, [figures, decision.why])),
        candidate=candidate,
        champion=step.champion,
        anchor=step.anchor,
        compared=compared,
        compared_with_anchor=anchor,
    )


def _decision(step: VerdictStep, compared: Comparison, anchor: Comparison | None) -> Decision:
    gate = gate_of(step.require)
    if step.champion is None:
        promote = gate.first(compared)
        return Decision("first", promote, "" if promote else "It does not become the champion.")
    if compared.images < step.min_examples:
        why = (
            f"A comparison needs {step.min_examples} (publish.min_examples). "
            "thaw releases promote makes the new release the champion by hand."
        )
        return Decision("not comparable", gate.opens_unasked, why)
    rival = None if step.anchor is None or anchor is None else Rival(step.anchor.release, anchor)
    return gate.decide(Rival(step.champion.release, compared), rival)


def _figures(step: VerdictStep, candidate: TestMetrics, compared: Comparison, largest_class: str) -> str:
    if step.champion is None:
        return (
            f"Test accuracy {candidate.accuracy:.4f} on {candidate.examples:,} images; there is no champion to compare "
            f"with, and always to answer {largest_class} would be right on {compared.other_accuracy:.4f}."
        )
    left_out = f", without {compared.left_out:,} that {step.champion.release} may have learned from"
    on = f"{compared.images:,} test images{left_out if compared.left_out else ''}"
    if not compared.images:
        return f"Compared with {step.champion.release} on {on}."
    low, high = (f"{end * 100:+.1f}" for end in compared.difference_ci)
    return (
        f"On {on}, the new model alone is right on {compared.gained:,} and {step.champion.release} alone on "
        f"{compared.lost:,}: {compared.difference * 100:+.1f} points ({low} to {high})."
    )
