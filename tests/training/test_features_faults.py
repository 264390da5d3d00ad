"""Features under adversity: a disk without room, numbers too large for float16, a stage that is stopped, NaN."""

import collections
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.ingest.pictures import Recorder
from tests.support import write_pictures
from tests.training import test_resume
from tests.training.features import Place, place_for, stage
from thaw.pipeline_config.errors import ArtifactError, TrainingError
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.training.features import work as features_work
from thaw.tasks.training.features.files import FeatureReader, read_document
from thaw.tasks.training.features.step import FeaturesFacts
from thaw.tasks.training.stage_facts import StageFacts
from thaw.tasks.training.start import build_start

LAST_BLOCK = {"last_blocks": 1}
Usage = collections.namedtuple("Usage", "total used free")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("features") / "data", each=20)


def reader_of(place: Place, ref: ArtifactRef) -> FeatureReader:
    return FeatureReader(place.store.verified(ref))


def test_a_disk_without_room_is_seen_before_the_work_and_not_remembered(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = place_for(data, tmp_path, stage_two=stage(train=LAST_BLOCK))
    step, reporter = place.features_one(), Recorder()
    with monkeypatch.context() as patch:
        patch.setattr("thaw.tasks.training.features.work.shutil.disk_usage", lambda _: Usage(10**9, 0, 400_000_000))
        refs = place.compute(step, reporter)
    (warning,) = reporter.told("warning")
    assert "stage_one and stage_two: the frozen layers' outputs take" in warning
    assert "the disk has 400 MB" in warning
    assert step.also is not None
    for ref, name, key in zip(refs, ("stage_one", "stage_two"), (step.key, step.also.key), strict=True):
        document = read_document(place.store.verified(ref))
        assert (document.views, document.decision) == (0, f"{name}: nothing is kept: the disk has no room.")
        assert not step.is_cacheable(place.store.facts(ref, FeaturesFacts))
        assert place.store.peek(key) == (None, None)
    again = place.compute(step)
    assert not set(again).intersection(refs)
    assert [place.store.peek(key)[0] for key in (step.key, step.also.key)] == again


def test_a_disk_without_room_for_one_stage_leaves_the_answer_of_the_other(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = place_for(data, tmp_path, stage_two=stage(train={"from_layer": 0}))
    step, reporter = place.features_one(), Recorder()
    monkeypatch.setattr("thaw.tasks.training.features.work.shutil.disk_usage", lambda _: Usage(10**9, 0, 400_000_000))
    refs = place.compute(step, reporter)
    assert step.also is not None
    assert place.store.peek(step.also.key) == (refs[1], None)  # nothing can be kept of it, on any disk
    assert place.store.peek(step.key) == (None, None)
    (warning,) = reporter.told("warning")
    assert warning.startswith("stage_one: ")


def test_numbers_too_large_for_float16_are_kept_as_bfloat16(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = place_for(data, tmp_path / "a", stage_one=stage(train=LAST_BLOCK))
    step = place.features_one()
    with reader_of(place, place.compute(step)[0]) as reader:
        assert reader.type == "float16"
        plain = reader.read(2, np.arange(8)).astype(np.float32)
    other = place_for(data, tmp_path / "b", stage_one=stage(train=LAST_BLOCK))
    monkeypatch.setattr(features_work, "_LARGEST_FLOAT16", float(plain.max()) * 0.9)
    reporter = Recorder()
    (ref,) = other.compute(step, reporter)
    assert [line for line in reporter.told("log") if "bfloat16" in line]
    with reader_of(other, ref) as reader:
        assert reader.type == "bfloat16"
        bits = reader.read(2, np.arange(8)).astype(np.uint32) << 16
    np.testing.assert_allclose(bits.view(np.float32), plain, rtol=2**-7)
    stage_one = other.train(other.stage_one(step))
    assert other.store.facts(stage_one, StageFacts).feature_views == 3


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
    assert place.store.key_documents("stage") == []


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_a_stage_of_another_precision_learns_from_features(data: Path, tmp_path: Path, precision: str) -> None:
    settings = stage(train=LAST_BLOCK, optimizer={"name": "sgd", "learning_rate": 0.001})
    place = place_for(data, tmp_path, stage_one=settings, precision=precision)
    features = place.features_one()
    place.compute(features)
    facts = [place.store.facts(place.train(place.stage_one(each)), StageFacts) for each in (features, None)]
    assert facts[0].val_loss == pytest.approx(facts[1].val_loss, rel=0.05)
