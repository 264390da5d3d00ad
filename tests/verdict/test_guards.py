"""What forbids a promotion whatever the comparison says."""

from dataclasses import replace

import pytest

from tests.verdict.tables import CLASSES, candidate, other, predictions
from thaw.pipeline_config.preprocessing import Preprocessing
from thaw.pipeline_config.publish_schema import Floors, PublishConfig
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.evaluation.metrics import compute_metrics
from thaw.tasks.releases.verdict import Looks, ReleasedModel, Verdict
from thaw.tasks.releases.verdict import TestMetrics as Metrics
from thaw.tasks.verdict.comparison import compare
from thaw.tasks.verdict.guards import below_floors, too_many_lost, worse_classes
from thaw.tasks.verdict.must_not_break import broken_in
from thaw.tasks.verdict.step import VerdictStep
from thaw.tasks.verdict.work import decide, find

ANSWERS = "1" * 8 + "01"  # one of five cats is wrong
METRICS = compute_metrics(predictions(ANSWERS), CLASSES, 0.95)["test"]


def test_a_model_that_reaches_every_floor_is_not_named():
    reached = Floors(accuracy=0.9, macro_f1=0.8, worst_class_recall=0.8, recall={"dog": 1.0}, calibration_error=0.1)
    assert below_floors(reached, METRICS) == []


@pytest.mark.parametrize(
    ("floors", "words"),
    [
        (Floors(accuracy=0.91), "The accuracy is 0.9000, expected 0.91 or more (publish.floors)."),
        (Floors(macro_f1=0.95), "The macro F1 is 0.8990, expected 0.95 or more (publish.floors)."),
        (Floors(worst_class_recall=0.9), "The recall of cat, the worst class, is 0.8000, expected 0.9 or more"),
        (Floors(recall={"cat": 0.85}), "The recall of cat is 0.8000, expected 0.85 or more (publish.floors)."),
        (Floors(calibration_error=0.05), "The expected calibration error is 0.1000, expected 0.05 or less"),
    ],
)
def test_a_floor_that_is_not_reached_is_named_with_both_numbers(floors, words):
    (found,) = below_floors(floors, METRICS)
    assert found.startswith(words)


def test_lost_answers_count_as_a_share_of_the_champions_right_ones():
    compared = compare(candidate("1" * 8 + "00"), other("1" * 9 + "0"))  # one of nine
    assert too_many_lost(None, compared) == too_many_lost(0.12, compared) == []
    (words,) = too_many_lost(0.1, compared)
    assert words == (
        "Of the champion's 9 right answers the new model has 1 wrong, expected a share of 0.1 or less "
        "(publish.max_negative_flips)."
    )


def test_a_class_that_got_worse_is_named_though_the_model_as_a_whole_did_not():
    cats_lost, dogs_gained = "01" * 8, "10" * 8  # cats stand at even places
    (words,) = worse_classes(candidate(cats_lost), other(dogs_gained), CLASSES, 0.1)
    assert words == "cat got worse: 0 of its images gained, 8 lost."
    assert worse_classes(candidate("11" * 8), other("11" * 8), CLASSES, 0.1) == []


def verdict_with(
    new: str, old: str, *, marks: str = "", among: int = 1, kept: dict[str, str] | None = None, **publish
) -> Verdict:
    champion = ReleasedModel(release="r-000000000000", weights="w", dataset="d")
    refs = {name: ArtifactRef(kind=name, digest="0" * 64) for name in ("dataset", "model", "evaluation", "baseline")}
    how = Preprocessing(max_pixels=10**6, max_side=None, resolution=16, center_crop=None)
    publishing = PublishConfig(**{"min_examples": 1, **publish})
    looks = Looks(test_split="s", before=7, among=among)
    step = VerdictStep(
        champion=champion,
        anchor=None,
        looks=looks,
        publish=publishing,
        input=how,
        kept=kept,
        slices=[],
        **refs,
    )
    metrics = compute_metrics(predictions(new), CLASSES, 0.95)["test"]
    tested = Metrics(examples=len(new), accuracy=metrics["accuracy"], accuracy_ci=(0, 1))
    found = find(step, metrics, candidate(new), other(old, marks), None)
    return decide(step, tested, replace(found, broken=broken_in(kept or {}, candidate(new))))


def test_a_better_model_below_a_floor_is_vetoed_and_the_line_says_why():
    better = verdict_with("1" * 20, "0" * 10 + "1" * 10)
    assert (better.verdict, better.promote) == ("better", True)
    vetoed = verdict_with("1" * 20, "0" * 10 + "1" * 10, floors=Floors(recall={"cat": 1.0}), max_negative_flips=0.0)
    assert (vetoed.verdict, vetoed.promote) == ("better", True)
    vetoed = verdict_with("1" * 18 + "01", "0" * 10 + "1" * 10, floors=Floors(recall={"cat": 1.0}))
    assert (vetoed.verdict, vetoed.promote) == ("vetoed", False)
    assert vetoed.reason.endswith("The recall of cat is 0.9000, expected 1 or more (publish.floors).")


def test_what_is_not_promoted_anyway_keeps_its_own_word():
    assert verdict_with("0" * 10, "1" * 10, floors=Floors(accuracy=0.99)).verdict == "worse"


@pytest.mark.parametrize("guard", [False, True])
def test_a_worse_class_is_a_warning_or_a_veto(guard):
    new, old = "01" * 8 + "01" * 40, "10" * 8 + "00" * 40
    verdict, words = verdict_with(new, old, guard_classes=guard), "cat got worse: 0 of its images gained, 8 lost."
    assert verdict.warnings == ([] if guard else [words])
    assert (verdict.verdict, verdict.promote) == (("vetoed", False) if guard else ("better", True))
    assert (words in verdict.reason) == guard
