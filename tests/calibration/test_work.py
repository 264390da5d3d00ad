"""A whole run on small pictures: the model that is tested, with its temperature, is what every format serves."""

import io
import json
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.support import WalkHere, small_recipe, write_pictures
from thaw.flows.graph import GRAPH
from thaw.flows.requests import calibrate
from thaw.pipeline_config.errors import TrainingError
from thaw.tasks.calibration.step import CalibrateWork, CalibrationFacts
from thaw.tasks.evaluation.metrics import compute_metrics
from thaw.tasks.evaluation.predictions import probability_matrix, top_probability
from thaw.tasks.home import Home
from thaw.tasks.process import Reporter
from thaw.tasks.releases.release import Release, read_release
from thaw.tasks.training.stage_facts import StageFacts


class Run:
    """A run that is over, and what it found."""

    def __init__(self, data: Any, home: Any, **evaluate: Any) -> None:
        self.walk = WalkHere(small_recipe(data, evaluate=evaluate), home)
        self.walk.go(GRAPH)
        store = self.walk.home.store
        self.found = store.facts(self.walk.made["calibrate"], CalibrationFacts)
        self.stage = store.facts(self.walk.made["stage_two"], StageFacts)
        self.metrics = json.loads((self.folder("evaluate") / "metrics.json").read_bytes())["test"]
        self.table = pq.read_table(self.folder("evaluate") / "predictions.parquet")
        self.release: Release = read_release(self.folder("publish"))

    def folder(self, task: str) -> Any:
        return self.walk.home.store.folder(self.walk.made[task])


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Pictures of which a fifth stand under the wrong label, so that a model cannot be right on all."""
    folder = write_pictures(tmp_path_factory.mktemp("data") / "data", each=40)
    for number in range(0, 40, 5):
        one, other = (folder / name / f"{number:03}.png" for name in ("blue", "red"))
        content = one.read_bytes()
        one.write_bytes(other.read_bytes())
        other.write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def run(data, tmp_path_factory) -> Run:
    return Run(data, tmp_path_factory.mktemp("home"), abstain={"right": 0.5, "confidence": 0.8})


@pytest.fixture(scope="module")
def plain(run) -> Any:
    """What the same model answers as it was trained."""
    from thaw.tasks.evaluation.classify import answering, predict
    from thaw.tasks.records.read import SplitReader
    from thaw.tasks.training.stage_artifact import load_classifier

    model = load_classifier(run.folder("stage_two"))
    with SplitReader(run.folder("records"), "test") as reader:
        return predict(answering(model), reader, run.stage.fit, 64, lambda count: None)


def test_the_loss_before_is_that_of_training_and_the_one_after_is_no_worse(run):
    assert run.found.before.loss == pytest.approx(run.stage.val_loss, rel=1e-4)
    assert run.found.right / run.found.images == pytest.approx(run.stage.val_accuracy)
    assert run.found.after.loss < run.found.before.loss
    assert run.release.temperature == run.found.temperature != 1


def test_the_metrics_say_what_the_model_was_before(run, plain):
    before = compute_metrics(plain, run.stage.classes, 0.95)["test"]
    assert (run.metrics["temperature"], before["temperature"]) == (run.found.temperature, 1)
    for name in ("loss", "expected_calibration_error"):
        assert run.metrics["uncalibrated"][name] == pytest.approx(before[name], abs=1e-5)
        assert before["uncalibrated"][name] == pytest.approx(before[name], abs=1e-6)
        assert run.metrics[name] != pytest.approx(before[name], abs=1e-5)
    assert run.table["predicted"] == plain["predicted"]


def test_every_format_serves_the_probabilities_of_the_tested_model(run):
    from thaw.tasks.evaluation.examples import read_example
    from thaw.tasks.formats.base import ModelContext
    from thaw.tasks.formats.members import FORMATS
    from thaw.tasks.records.read import SplitReader

    with SplitReader(run.folder("records"), "test") as reader:
        images = [read_example(reader, index).encoded for index in range(reader.examples)]
    expected = probability_matrix(run.table)
    for member in FORMATS.values():
        served = member.load(run.folder("publish"), ModelContext.of(run.release))(images)
        np.testing.assert_allclose(served, expected, rtol=0, atol=1e-6)
        assert (served.argmax(axis=1) == expected.argmax(axis=1)).all()


def test_the_weights_that_are_served_are_those_that_were_tested(run):
    import keras

    from thaw.tasks.training.logits import divide_logits
    from thaw.tasks.training.stage_artifact import load_classifier

    tested = load_classifier(run.folder("stage_two"))
    divide_logits(tested, run.release.temperature)
    served = keras.saving.load_model(run.folder("publish") / "model.keras", compile=False)
    for one, other in zip(tested.get_weights(), served.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_release_says_how_many_test_images_it_would_answer(run):
    found = run.release.abstain
    right = (run.table["label"].to_numpy() == run.table["predicted"].to_numpy())[
        top_probability(run.table) > found.threshold
    ]
    assert (found.test.images, found.test.answered, found.test.correct) == (len(run.table), len(right), right.sum())
    assert found.validation == run.found.abstain.validation
    assert found.validation.answered > 0
    assert json.loads((run.folder("publish") / "calibration.json").read_bytes())["temperature"] == run.found.temperature


def work_of(run, home, folder, **evaluate):
    recipe = small_recipe(folder, evaluate=evaluate)
    step = calibrate(
        recipe, Home.open(home), **{name: run.walk.made[name] for name in ("records", "stage_one", "stage_two")}
    )
    return CalibrateWork(home=home, folder=folder, step=step)


def test_a_promise_that_validation_cannot_show_is_a_warning_and_no_failure(run, tmp_path):
    from thaw.tasks.calibration.work import calibrate as calibrate_now

    stream = io.StringIO()
    work = work_of(run, run.walk.home.path, tmp_path, abstain={"right": 0.99})
    facts = calibrate_now(work, Reporter(stream))
    assert facts.abstain is not None
    assert facts.abstain.threshold == 1
    (line,) = [each["warning"] for each in map(json.loads, stream.getvalue().splitlines()) if "warning" in each]
    assert "takes 299 sure validation images" in line
    assert f"received {facts.images}, " in line
    assert len(line) < 500


def test_where_it_is_switched_off_the_model_stays_as_it_is(run, tmp_path):
    from thaw.tasks.calibration.work import find

    logits, labels = np.array([[9, 0], [8, 0], [7, 0]], np.float32), np.array([0, 0, 1], np.int32)
    home = run.walk.home.path
    assert find(work_of(run, home, tmp_path).step, {"stage_two": (labels, logits)}).temperature > 1
    facts = find(work_of(run, home, tmp_path, calibrate=False).step, {"stage_two": (labels, logits)})
    assert (facts.temperature, facts.before, facts.abstain) == (1, facts.after, None)


def test_logits_that_are_not_finite_are_an_error(run, tmp_path):
    from thaw.tasks.calibration.work import find

    logits = np.array([[0, np.nan], [1, 0]], np.float32)
    with pytest.raises(TrainingError, match="not finite for a validation image"):
        find(work_of(run, run.walk.home.path, tmp_path).step, {"stage_two": (np.array([0, 1], np.int32), logits)})
