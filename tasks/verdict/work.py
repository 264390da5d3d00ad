"""Gives the verdict on a new model, in a child process: the comparison, and what the recipe makes of it."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from thaw.pipeline_config.publish_schema import Floors
from thaw.tasks.artifacts.store import write_json
from thaw.tasks.devices import choose_devices
from thaw.tasks.evaluation.metrics import SplitMetrics
from thaw.tasks.evaluation.predictions import write_table
from thaw.tasks.ingest.dataset import read_dataset
from thaw.tasks.process import Reporter
from thaw.tasks.releases.test_split import PREDICTIONS_NAME
from thaw.tasks.releases.verdict import (
    FLIPS_NAME,
    METRICS_NAME,
    VERDICT_NAME,
    Broken,
    Comparison,
    SliceResult,
    TestMetrics,
    Verdict,
    read_test_metrics,
)
from thaw.tasks.training.stage_artifact import WEIGHTS_NAME
from thaw.tasks.verdict.answers import answers_of_evaluation
from thaw.tasks.verdict.comparison import compare, flips, sentence
from thaw.tasks.verdict.gates.base import Decision, Rival
from thaw.tasks.verdict.gates.members import gate_of
from thaw.tasks.verdict.guards import below_floors, too_large, too_many_lost, too_slow, worse_classes
from thaw.tasks.verdict.kept_folder import broken_in_folder
from thaw.tasks.verdict.must_not_break import broken_in, in_words
from thaw.tasks.verdict.slices import below_slice_floors, listed_slices, slices_by, values_of
from thaw.tasks.verdict.speed import milliseconds_an_image
from thaw.tasks.verdict.step import ANCHOR, CHAMPION, LARGEST_CLASS, VerdictStep, VerdictWork, table_name


@dataclass(frozen=True)
class Findings:
    """All that a verdict follows from: the comparisons, what forbids a promotion, and what is only said."""

    compared: Comparison
    with_anchor: Comparison | None = None
    on_new: Comparison | None = None
    largest_class: str = ""
    slices: list[SliceResult] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)
    vetoes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def judge(work: VerdictWork, reporter: Reporter) -> Verdict:
    """Write the verdict artifact.

    Raises:
        ArtifactError: The evaluation or the baseline is damaged, or they are about different images.
    """
    choose_devices(work.step.devices)  # for slices and images that must stay right
    step, store = work.step, work.home.store
    evaluation, baseline = store.verified(step.evaluation), store.verified(step.baseline)
    candidate = answers_of_evaluation(pq.read_table(evaluation / PREDICTIONS_NAME))
    other = pq.read_table(baseline / table_name(LARGEST_CLASS if step.champion is None else CHAMPION))
    anchor = None if step.anchor is None else pq.read_table(baseline / table_name(ANCHOR))
    metrics: SplitMetrics = json.loads((evaluation / METRICS_NAME).read_bytes())["test"]
    slices = _slices(work, candidate, None if step.champion is None else other, metrics["confidence"])
    found = find(step, metrics, candidate, other, anchor)
    vetoes = [
        *found.vetoes,
        *below_slice_floors(step.publish.floors, slices),
        *_too_costly(step.publish.floors, store.verified(step.model), reporter),
    ]
    found = replace(found, vetoes=vetoes, broken=_broken(work, candidate), slices=listed_slices(slices))
    verdict = decide(step, read_test_metrics(evaluation), found)
    write_table(flips(candidate, other), work.folder / FLIPS_NAME)
    write_json(work.folder / VERDICT_NAME, verdict.model_dump(mode="json"))
    for warning in verdict.warnings:
        reporter.warn(warning)
    reporter.log(f"{verdict.verdict}: {verdict.reason}")
    return verdict


def find(
    step: VerdictStep, metrics: SplitMetrics, candidate: pa.Table, other: pa.Table, anchor: pa.Table | None
) -> Findings:
    """Compare the tables of answers, and check what forbids a promotion."""
    publish, compared = step.publish, compare(candidate, other)
    vetoes = below_floors(publish.floors, metrics)
    if step.champion is None:
        return Findings(compared, largest_class=other["predicted_class"][0].as_py(), vetoes=vetoes)
    classes = [score["class"] for score in metrics["per_class"]]
    worse = worse_classes(candidate, other, classes, gate_of(publish.require).level)
    return Findings(
        compared,
        with_anchor=None if anchor is None else compare(candidate, anchor),
        on_new=_on_new(candidate, other, publish.min_examples),
        vetoes=[
            *vetoes,
            *too_many_lost(publish.max_negative_flips, compared),
            *(f"{words} (publish.guard_classes)" for words in worse if publish.guard_classes),
        ],
        warnings=[] if publish.guard_classes else worse,
    )


def _broken(work: VerdictWork, candidate: pa.Table) -> list[Broken]:
    folder = work.step.publish.must_not_break
    if isinstance(folder, str):
        return broken_in_folder(work, folder)
    return broken_in(work.step.kept if isinstance(work.step.kept, dict) else {}, candidate)


def _slices(work: VerdictWork, candidate: pa.Table, champion: pa.Table | None, confidence: float) -> list[SliceResult]:
    step, store = work.step, work.home.store
    if step.dataset is None:
        return []
    dataset = store.verified(step.dataset)
    by_id = {image.id: image for image in read_dataset(dataset).images}
    images = [by_id[image] for image in candidate["id"].to_pylist()]
    return [
        result
        for name in step.slices
        for result in slices_by(name, values_of(name, images, dataset), candidate, champion, confidence)
    ]


def _too_costly(floors: Floors, stage: Path, reporter: Reporter) -> list[str]:
    found = []
    if floors.megabytes is not None:
        found += too_large(floors.megabytes, (stage / WEIGHTS_NAME).stat().st_size)
    if floors.milliseconds is not None:
        milliseconds = milliseconds_an_image(stage)
        reporter.log(f"an image alone takes the model {milliseconds:.3g} ms; at most {floors.milliseconds:g} may be")
        found += too_slow(floors.milliseconds, milliseconds)
    return found


def _on_new(candidate: pa.Table, other: pa.Table, needed: int) -> Comparison | None:
    rows = np.flatnonzero(other["is_new"].to_numpy())
    return compare(candidate.take(rows), other.take(rows)) if len(rows) >= needed else None


def decide(step: VerdictStep, candidate: TestMetrics, found: Findings) -> Verdict:
    """Apply the recipe's rule to how a new model compares, with the champion or else with the largest class."""
    decision = _decision(step, found)
    vetoes = [*found.vetoes, *in_words(found.broken)]
    if vetoes and decision.promote:
        decision = Decision("vetoed", promote=False, why=" ".join([*filter(None, [decision.why]), *vetoes]))
    return Verdict(
        verdict=decision.outcome,
        promote=decision.promote,
        reason=" ".join(filter(None, [_figures(step, candidate, found), _luck(step, found, decision), decision.why])),
        candidate=candidate,
        champion=step.champion,
        anchor=step.anchor,
        warnings=found.warnings,
        compared=found.compared,
        compared_with_anchor=found.with_anchor,
        compared_on_new=found.on_new,
        looks=step.looks,
        slices=found.slices,
        broken=found.broken,
    )


def _luck(step: VerdictStep, found: Findings, decision: Decision) -> str:
    """Say what the new model does where the champion was not chosen, or else among how many models this one is."""
    if step.champion is None:
        return ""
    if found.on_new is not None:
        new = found.on_new
        return (
            f"On the {new.images:,} of them that had no part in choosing {step.champion.release}: "
            f"{new.accuracy:.4f} against {new.other_accuracy:.4f}."
        )
    if decision.promote and step.looks.among > 1:
        return f"It is chosen among {step.looks.among:,} models that these images have judged beside the same champion."
    return ""


def _decision(step: VerdictStep, found: Findings) -> Decision:
    gate, compared, needed = gate_of(step.publish.require), found.compared, step.publish.min_examples
    if step.champion is None:
        promote = gate.first(compared)
        return Decision("first", promote, "" if promote else "It does not become the champion.")
    if compared.images < needed:
        why = (
            f"A comparison needs {needed:,} (publish.min_examples). "
            "thaw releases promote makes the new release the champion by hand."
        )
        return Decision("not comparable", gate.opens_unasked, why)
    anchor = None if step.anchor is None or found.with_anchor is None else Rival(step.anchor.release, found.with_anchor)
    return gate.decide(Rival(step.champion.release, compared), anchor)


def _figures(step: VerdictStep, candidate: TestMetrics, found: Findings) -> str:
    compared = found.compared
    if step.champion is None:
        return (
            f"Test accuracy {candidate.accuracy:.4f} on {candidate.examples:,} images; there is no champion to compare "
            f"with, and always to answer {found.largest_class} would be right on {compared.other_accuracy:.4f}."
        )
    champion = step.champion.release
    return sentence(compared, "the new model", champion, learned_from=champion)
