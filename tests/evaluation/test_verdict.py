"""The verdict on a new model, and the step that writes it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.publishing.helpers import TinyStep
from tests.support import without_cost
from thaw.pipeline_config.errors import ArtifactError
from thaw.tasks.artifacts.store import write_json
from thaw.tasks.evaluation.verdict import VerdictStep, VerdictWork, decide, write_verdict
from thaw.tasks.home import Home
from thaw.tasks.releases.verdict import ChampionMetrics, Verdict, read_test_metrics
from thaw.tasks.releases.verdict import TestMetrics as Metrics

accuracies = st.floats(0, 1)


def metrics(accuracy):
    return Metrics(examples=200, accuracy=accuracy, accuracy_ci=(0, 1))


def champion_with(accuracy):
    return ChampionMetrics(release="digits-0", **metrics(accuracy).model_dump())


@given(candidate=accuracies, champion=accuracies)
def test_only_a_higher_accuracy_is_better(candidate, champion):
    verdict = decide(metrics(candidate), champion_with(champion))
    assert (verdict.verdict == "better") == (candidate > champion)
    assert verdict.verdict != "first"
    assert "digits-0" in verdict.reason


@given(accuracy=accuracies)
def test_two_models_are_never_both_better_than_each_other(accuracy):
    assert decide(metrics(accuracy), champion_with(accuracy)).verdict == "not better"


def test_without_a_champion_the_verdict_is_first():
    verdict = decide(metrics(0.1), None)
    assert (verdict.verdict, verdict.champion) == ("first", None)
    assert verdict.reason == "Test accuracy 0.1000 on 200 images; there is no champion to compare with."


def test_the_step_writes_what_it_compared(tmp_path):
    document = {"test": {"examples": 200, "accuracy": 0.95, "accuracy_ci": [0.91, 0.97], "loss": 0.2}}

    def evaluate(folder):
        write_json(folder / "metrics.json", document)
        return without_cost()

    home = Home.open(tmp_path)
    evaluation = home.store.build(TinyStep(document=document), evaluate)
    step = VerdictStep(evaluation=evaluation, champion=champion_with(0.9))

    def work(folder):
        return without_cost(write_verdict(VerdictWork(home=home, folder=folder, step=step)))

    ref = home.store.build(step, work)
    facts = home.store.facts(ref, Verdict).model_dump(mode="json")
    assert json.loads((home.store.verified(ref) / "verdict.json").read_text()) == facts
    assert facts == {
        "schema_version": 1,
        "verdict": "better",
        "candidate": {"examples": 200, "accuracy": 0.95, "accuracy_ci": [0.91, 0.97]},
        "champion": {"release": "digits-0", "examples": 200, "accuracy": 0.9, "accuracy_ci": [0.0, 1.0]},
        "reason": "Test accuracy 0.9500 on 200 images, higher than the 0.9000 on 200 images of digits-0.",
    }


def test_the_key_follows_the_champion(tmp_path):
    ref = Home.open(tmp_path).store.build(TinyStep(document={}), lambda folder: without_cost())
    keys = {
        VerdictStep(evaluation=ref, champion=other).key for other in (None, champion_with(0.9), champion_with(0.91))
    }
    assert len(keys) == 3


@pytest.mark.parametrize("content", ["", "{}", '{"test": {"accuracy": 1}}'])
def test_damaged_metrics_are_named(tmp_path, content):
    (tmp_path / "metrics.json").write_text(content)
    with pytest.raises(ArtifactError, match=r"metrics\.json does not hold"):
        read_test_metrics(tmp_path)
    with pytest.raises(ArtifactError, match=r"metrics\.json cannot be read"):
        read_test_metrics(tmp_path / "missing")
