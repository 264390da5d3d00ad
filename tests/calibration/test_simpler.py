"""`publish.prefer_simpler`: stage one's model is released, whole, where stage two's is not shown to be better."""

import json
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import WalkHere, small_recipe, write_pictures
from thaw.flows.graph import GRAPH
from thaw.pipeline_config.stage_schema import StageName
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.calibration.step import CalibrateStep, CalibrationFacts
from thaw.tasks.calibration.temperature import Logits
from thaw.tasks.evaluation.earned import ANSWERS, STAGE_ONE, STAGE_TWO, Gain
from thaw.tasks.evaluation.intervals import agresti_min_interval
from thaw.tasks.evaluation.predictions import probability_matrix
from thaw.tasks.releases.release import Release, read_release

STAGES: tuple[StageName, StageName] = (STAGE_ONE, STAGE_TWO)
NOWHERE = ArtifactRef(kind="stage", digest="0" * 64)


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> WalkHere:
    """A run whose second stage learns nothing, at a larger resolution."""
    folder = tmp_path_factory.mktemp("simpler")
    still = {"resolution": 32, "train": "head", "epochs": 1, "optimizer": {"name": "sgd", "learning_rate": 1e-12}}
    publish = {"prefer_simpler": True, "min_examples": 1, "floors": {"milliseconds": 1e-6}}
    walk = WalkHere(small_recipe(write_pictures(folder / "data", each=30), stage_two=still, publish=publish), folder)
    walk.go(GRAPH)
    return walk


def table(walk: WalkHere, task: str, name: str) -> Any:
    return pq.read_table(walk.home.store.verified(walk.made[task]) / name)


@pytest.mark.slow
def test_the_simpler_model_is_the_one_that_is_calibrated_tested_and_served(walk: WalkHere) -> None:
    from thaw.tasks.evaluation.examples import read_example
    from thaw.tasks.formats.base import ModelContext
    from thaw.tasks.formats.members import FORMATS
    from thaw.tasks.records.read import SplitReader

    folder = walk.home.store.verified(walk.made["publish"])
    release: Release = read_release(folder)
    assert (release.stage, release.input.resolution) == (STAGE_ONE, 16)
    assert release.model.weights == walk.made["stage_one"].digest
    tested = table(walk, "evaluate", "predictions.parquet")
    assert table(walk, "publish", "predictions.parquet")["probabilities"] == tested["probabilities"]
    assert tested == table(walk, "evaluate", ANSWERS[STAGE_ONE])
    assert tested != table(walk, "evaluate", ANSWERS[STAGE_TWO])
    with SplitReader(walk.home.store.verified(walk.made["records"]), "test") as reader:
        images = [read_example(reader, index).encoded for index in range(reader.examples)]
    for member in FORMATS.values():
        served = member.load(folder, ModelContext.of(release))(images)
        np.testing.assert_allclose(served, probability_matrix(tested), rtol=0, atol=1e-6)


@pytest.mark.slow
def test_the_card_and_the_page_say_which_stage_it_is_and_why(walk: WalkHere) -> None:
    folder, found = (
        walk.home.store.verified(walk.made["publish"]),
        walk.home.store.facts(walk.made["calibrate"], CalibrationFacts),
    )
    assert found.stage == STAGE_ONE
    assert "So stage one's model is released (publish.prefer_simpler)." in found.choice
    assert found.choice.replace("_", r"\_") in (folder / "README.md").read_text(encoding="utf-8")
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "model is released (publish.prefer_simpler)" in page
    assert "for images of 16 pixels" in page


@pytest.mark.slow
def test_a_model_that_is_too_slow_is_vetoed_and_the_verdict_holds_no_time(walk: WalkHere) -> None:
    verdict = json.loads((walk.home.store.verified(walk.made["verdict"]) / "verdict.json").read_bytes())
    assert (verdict["verdict"], verdict["promote"]) == ("vetoed", False)
    assert (
        "An image alone takes the model longer here than the 1e-06 milliseconds of publish.floors." in verdict["reason"]
    )


def step(confidence: float | None) -> CalibrateStep:
    return CalibrateStep(
        records=NOWHERE,
        stage_one=None if confidence is None else NOWHERE,
        stage_two=NOWHERE,
        confidence=confidence,
        calibrate=True,
        abstain=None,
        batch_size=1,
    )


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60), st.sampled_from((0.6, 0.95)))
def test_stage_two_is_released_only_where_its_gain_is_shown(pairs: list[tuple[bool, bool]], confidence: float) -> None:
    from thaw.tasks.calibration.work import find

    one, two = (np.array(side) for side in zip(*pairs, strict=True))
    labels = np.zeros(len(pairs), np.int32)
    logits: dict[StageName, Logits] = {
        name: np.stack([right, 1.0 - right], axis=1).astype(np.float32) * 5
        for name, right in zip(STAGES, (one, two), strict=True)
    }
    facts = find(step(confidence), {name: (labels, each) for name, each in logits.items()})
    gained, lost = int((two & ~one).sum()), int((one & ~two).sum())
    is_shown = agresti_min_interval(gained, lost, len(pairs), confidence)[0] > 0
    assert facts.stage == (STAGE_TWO if is_shown else STAGE_ONE)
    assert facts.right == (two if is_shown else one).sum()
    assert facts.gain == Gain.of(two, one, confidence)
    alone = find(step(None), {STAGE_TWO: (labels, logits[STAGE_TWO])})
    assert (alone.stage, alone.gain, alone.choice) == (STAGE_TWO, None, "")
