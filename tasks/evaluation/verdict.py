"""Is the new model better than the champion? The request for a verdict, and the rule. No TensorFlow.

The work is a comparison of two small documents, so it is done in the flow's process, without a child.
"""

from typing import Any, ClassVar

from thaw.tasks.artifacts.atomic import writing
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.artifacts.step import Step
from thaw.tasks.artifacts.store import ArtifactStore, write_json
from thaw.tasks.process import Work
from thaw.tasks.releases.verdict import VERDICT_NAME, Opponent, Outcome, TestMetrics, Verdict, read_test_metrics


class VerdictStep(Step):
    """Make a verdict artifact: `verdict.json`.

    Attributes:
        evaluation: The new model's evaluation.
        opponent: What it is compared with; None for the first model of its recipe.
    """

    kind: ClassVar[str] = "verdict"
    work: ClassVar[str] = "thaw.tasks.evaluation.verdict:write_verdict"
    libraries: ClassVar[tuple[str, ...]] = ()

    evaluation: ArtifactRef
    opponent: Opponent | None


class VerdictWork(Work):
    """What `write_verdict` gets."""

    step: VerdictStep


def write_verdict(work: VerdictWork) -> dict[str, Any]:
    """Write the verdict on a new model, and return it; raises ArtifactError where a file is damaged or not writable."""
    folder = ArtifactStore(work.home).open(work.step.evaluation)
    verdict = decide(read_test_metrics(folder), work.step.opponent).model_dump(mode="json")
    with writing(work.folder / VERDICT_NAME):
        write_json(work.folder / VERDICT_NAME, verdict)
    return verdict


def decide(candidate: TestMetrics, champion: Opponent | None) -> Verdict:
    """Apply the rule: a model is better than the champion if its accuracy on the test split is higher."""
    outcome: Outcome
    if champion is None:
        outcome, reason = "first", f"Test accuracy {_words(candidate)}; there is no champion to compare with."
    else:
        outcome = "better" if candidate.accuracy > champion.accuracy else "not better"
        relation = "higher than" if outcome == "better" else "not higher than"
        reason = f"Test accuracy {_words(candidate)}, {relation} the {_words(champion)} of {champion.release}."
    return Verdict(verdict=outcome, candidate=candidate, champion=champion, reason=reason)


def _words(metrics: TestMetrics) -> str:
    return f"{metrics.accuracy:.4f} on {metrics.examples} images"
