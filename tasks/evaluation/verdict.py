"""Is the new model better than the champion? The request for a verdict, and the rule. No TensorFlow.

The work is a comparison of two small documents, so it is done in the flow's process, without a child.
"""

from typing import ClassVar

from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.artifacts.refusals import writing
from thaw.tasks.artifacts.step import Facts, Step
from thaw.tasks.artifacts.store import write_json
from thaw.tasks.process import Work
from thaw.tasks.releases.verdict import VERDICT_NAME, ChampionMetrics, Outcome, TestMetrics, Verdict, read_test_metrics


class VerdictStep(Step):
    """Make a verdict artifact, `verdict.json`, on a new model: without a champion it is the first of its recipe."""

    kind: ClassVar[str] = "verdict"
    work: ClassVar[str] = "thaw.tasks.evaluation.verdict:write_verdict"
    facts: ClassVar[type[Facts]] = Verdict
    libraries: ClassVar[tuple[str, ...]] = ()

    evaluation: ArtifactRef
    champion: ChampionMetrics | None


class VerdictWork(Work):
    """What `write_verdict` gets."""

    step: VerdictStep


def write_verdict(work: VerdictWork) -> Verdict:
    """Write the verdict on a new model.

    Raises:
        ArtifactError: The evaluation is damaged, or the verdict cannot be written.
    """
    folder = work.home.store.verified(work.step.evaluation)
    verdict = decide(read_test_metrics(folder), work.step.champion)
    with writing(work.folder / VERDICT_NAME):
        write_json(work.folder / VERDICT_NAME, verdict.model_dump(mode="json"))
    return verdict


def decide(candidate: TestMetrics, champion: ChampionMetrics | None) -> Verdict:
    """Apply the rule: a model is better if its accuracy on the test split is higher."""
    if champion is None:
        reason = f"Test accuracy {_words(candidate)}; there is no champion to compare with."
        return Verdict(verdict="first", candidate=candidate, champion=None, reason=reason)
    outcome: Outcome = "better" if candidate.accuracy > champion.accuracy else "not better"
    relation = "higher than" if outcome == "better" else "not higher than"
    reason = f"Test accuracy {_words(candidate)}, {relation} the {_words(champion)} of {champion.release}."
    return Verdict(verdict=outcome, candidate=candidate, champion=champion, reason=reason)


def _words(metrics: TestMetrics) -> str:
    return f"{metrics.accuracy:.4f} on {metrics.examples} images"
