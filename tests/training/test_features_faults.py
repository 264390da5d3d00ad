"""Features under adversity: a disk without room, numbers too large for float16, a stage that is stopped, NaN."""

import collections
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support import write_pictures
from tests.training import test_resume
from tests.training.features import Place, place_for, stage
from thaw.pipeline_config.errors import ArtifactError, TrainingError
from thaw.tasks.home import Home
from thaw.tasks.process import Reporter
from thaw.tasks.training.features import work as features_work
from thaw.tasks.training.features.files import FeatureReader, read_document
from thaw.tasks.training.features.step import FeaturesStep, FeaturesWork
from thaw.tasks.training.features.work import compute_features
from thaw.tasks.training.start import build_start

LAST_BLOCK = {"last_blocks": 1}
Usage = collections.namedtuple("Usage", "total used free")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("features") / "data", each=20)


def lines_of(place: Place, step: FeaturesStep) -> tuple[Any, list[dict[str, Any]]]:
    """Compute features, and give them with what the process said."""
    output = io.StringIO()

    def work(folder: Path) -> dict[str, Any]:
        return compute_features(FeaturesWork(home=place.home, folder=folder, step=step), Reporter(output))

    ref = place.store.build(step, work)
    return ref, [json.loads(line) for line in output.getvalue().splitlines()]


def test_a_disk_without_room_is_seen_before_the_work_and_not_remembered(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = place_for(data, tmp_path, stage_two=stage(train=LAST_BLOCK))
    step = place.features_one()
    with monkeypatch.context() as patch:
        patch.setattr("thaw.tasks.training.features.work.shutil.disk_usage", lambda _: Usage(10**9, 0, 400_000_000))
        ref, lines = lines_of(place, step)
    (warning,) = [line["warning"] for line in lines if "warning" in line]
    assert "stage_one and stage_two: the frozen layers' outputs take" in warning
    assert "the disk has 400 MB" in warning
    assert not step.lasts(place.store.facts(ref))
    assert read_document(place.store.verified(ref)).taps == {}
    assert place.store.peek(step.key) == (None, None)
    again, _ = lines_of(place, step)
    assert again != ref
    assert place.store.peek(step.key) == (again, None)


def test_numbers_too_large_for_float16_are_kept_as_bfloat16(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = place_for(data, tmp_path / "a", stage_one=stage(train=LAST_BLOCK))
    step = place.features_one()
    with FeatureReader(place.store.verified(place.compute(step)), "stage_one") as reader:
        assert reader.type == "float16"
        plain = reader.read(2, np.arange(8)).astype(np.float32)
    other = place_for(data, tmp_path / "b", stage_one=stage(train=LAST_BLOCK))
    monkeypatch.setattr(features_work, "_LARGEST_FLOAT16", float(plain.max()) * 0.9)
    ref, lines = lines_of(other, step)
    assert [line["log"] for line in lines if "bfloat16" in line.get("log", "")]
    with FeatureReader(other.store.verified(ref), "stage_one") as reader:
        assert reader.type == "bfloat16"
        bits = reader.read(2, np.arange(8)).astype(np.uint32) << 16
    np.testing.assert_allclose(bits.view(np.float32), plain, rtol=2**-7)
    stage_one = other.train(other.stage_one(step))
    assert other.store.facts(stage_one)["feature_views"] == 3


def test_outputs_that_are_not_finite_are_an_error_and_leave_nothing(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = place_for(data, tmp_path)

    def with_infinity(*arguments: Any, **settings: Any) -> Any:
        model = build_start(*arguments, **settings)
        beta = model.get_layer("backbone").get_layer("block3_b_bn").beta
        beta.assign(np.full(beta.shape, np.inf))
        return model

    monkeypatch.setattr(features_work, "build_start", with_infinity)
    with pytest.raises(TrainingError, match="stage_one: the frozen layers put out inf, expected finite numbers"):
        place.compute(place.features_one())
    assert list((tmp_path / "building").iterdir()) == []
    assert not (tmp_path / "artifacts" / "features").exists()


class KillError(BaseException):
    """Not an Exception, as a kill is none."""


def test_killed_while_features_are_written_the_next_run_ends_in_the_same_bytes(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = place_for(data, tmp_path / "a", stage_one=stage(train=LAST_BLOCK))
    expected = undisturbed.compute(undisturbed.features_one())
    place = place_for(data, tmp_path / "b", stage_one=stage(train=LAST_BLOCK))
    calls = iter(range(3))

    def die(*arguments: Any) -> Any:
        if next(calls) == 2:
            raise KillError
        return plain(*arguments)

    plain = features_work._checked
    with monkeypatch.context() as patch:
        patch.setattr(features_work, "_checked", die)
        patch.setattr("thaw.tasks.artifacts.store.shutil.rmtree", lambda *_, **__: None)  # a kill leaves what is there
        with pytest.raises(KillError):
            place.compute(place.features_one())
    assert list((tmp_path / "b" / "building").glob("*/*.npy"))
    assert place.compute(place.features_one()) == expected


@pytest.mark.parametrize(
    "settings",
    [
        {"train": "head", "ema": 0.9, "keep": "best"},
        {"train": LAST_BLOCK, "batch_norm": "train", "early_stopping": {"patience": 2}, "metric": "val_loss"},
    ],
)
@pytest.mark.parametrize("stop", [test_resume.stop_at_once, test_resume.ask_to_leave])
def test_a_stage_on_features_that_is_stopped_goes_on_to_the_same_bytes(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], stop: Any
) -> None:
    def step_in(home: Path) -> Any:
        place = place_for(data, home, stage_one=stage(feature_views=2, **settings))
        features = place.features_one()
        place.compute(features)
        return place.stage_one(features)

    test_resume.assert_resumes(tmp_path, monkeypatch, stop, step_in)


def test_a_stage_whose_features_are_gone_says_so(data: Path, tmp_path: Path) -> None:
    place = place_for(data, tmp_path)
    with pytest.raises(ArtifactError, match="stage_one: the features that it is to learn from are gone"):
        place.train(place.stage_one(place.features_one()))
    assert Home.open(tmp_path).store.key_documents("stage") == []


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_a_stage_of_another_precision_learns_from_features(data: Path, tmp_path: Path, precision: str) -> None:
    settings = stage(train=LAST_BLOCK, optimizer={"name": "sgd", "learning_rate": 0.001})
    place = place_for(data, tmp_path, stage_one=settings, precision=precision)
    features = place.features_one()
    place.compute(features)
    facts = [place.store.facts(place.train(place.stage_one(each))) for each in (features, None)]
    assert facts[0]["val_loss"] == pytest.approx(facts[1]["val_loss"], rel=0.05)
