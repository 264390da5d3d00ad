"""Features under adversity: a disk without room, numbers too large for float16, a stage that is stopped, NaN."""

import collections
import errno
import itertools
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.ingest.pictures import Recorder
from tests.support import write_pictures
from tests.training import test_resume
from tests.training.features import Place, place_for, stage
from thaw.pipeline_config.errors import ArtifactError, StepProcessError, TrainingError
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.pace import AtMostEvery
from thaw.tasks.training.devices import infer_in_order
from thaw.tasks.training.features import work as features_work
from thaw.tasks.training.features.files import FeatureReader, read_document
from thaw.tasks.training.features.prefix import Compute
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
        plain = reader.read("train", 2, np.arange(8)).astype(np.float32)
    other = place_for(data, tmp_path / "b", stage_one=stage(train=LAST_BLOCK))
    monkeypatch.setattr(features_work, "_LARGEST_FLOAT16", float(plain.max()) * 0.9)
    reporter = Recorder()
    (ref,) = other.compute(step, reporter)
    assert [line for line in reporter.told("log") if "bfloat16" in line]
    with reader_of(other, ref) as reader:
        assert reader.type == "bfloat16"
        bits = reader.read("train", 2, np.arange(8)).astype(np.uint32) << 16
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


def die() -> None:
    raise KillError


def leave() -> None:
    signal.raise_signal(signal.SIGTERM)


def computing(patch: pytest.MonkeyPatch, *, stop_in: int = 0, stop: Callable[[], None] = die) -> list[int]:
    """Save after each batch, and stop in one of them, from 1; gives the sizes of the batches that are computed."""
    computed: list[int] = []

    class Stopping(Compute):
        def __call__(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
            if len(computed) + 1 == stop_in:
                stop()
            computed.append(len(images))
            return super().__call__(images)

    patch.setattr(features_work, "_SECONDS_BETWEEN_SAVES", 0.0)
    patch.setattr(features_work, "infer_in_order", map)  # none ahead, so that it is known which are computed
    patch.setattr(features_work, "Compute", Stopping)
    patch.setattr(features_work, "IMAGES_AT_A_TIME", 6)  # two images of three views
    return computed


BATCHES = [6] * 14  # of 23 images of three views, and of 10 images for validation; filled up at the ends


@pytest.fixture(scope="module")
def undisturbed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[ArtifactRef]:
    place = place_for(data, tmp_path_factory.mktemp("undisturbed"), stage_two=stage(train=LAST_BLOCK))
    return place.compute(place.features_one())


def stopped(place: Place, monkeypatch: pytest.MonkeyPatch, stop_in: int, stop: Callable[[], None] = die) -> list[int]:
    """Compute features up to a stop, which leaves what is there."""
    with monkeypatch.context() as patch:
        patch.setattr("thaw.tasks.artifacts.store.shutil.rmtree", lambda *_, **__: None)
        computed = computing(patch, stop_in=stop_in, stop=stop)
        with pytest.raises((KillError, StepProcessError)):
            place.compute(place.features_one())
    return computed


@pytest.mark.parametrize(("stop", "batch"), [(die, 4), (leave, 14)])
def test_stopped_anywhere_the_next_attempt_computes_what_is_left_and_ends_in_the_same_bytes(
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    undisturbed: list[ArtifactRef],
    stop: Callable[[], None],
    batch: int,  # in which it is stopped
) -> None:
    place, reporter = place_for(data, tmp_path, stage_two=stage(train=LAST_BLOCK)), Recorder()
    before = stopped(place, monkeypatch, batch, stop)
    assert len(before) == (batch if stop is leave else batch - 1)  # who is asked to leave ends the batch
    rest = computing(monkeypatch)
    assert place.compute(place.features_one(), reporter) == undisturbed
    assert before + rest == BATCHES
    assert ("go on after" in str(reporter.told("log"))) == bool(before)
    for step in place.features_one().together():
        assert not place.store.checkpoints(step.key).exists()


def test_killed_while_batches_are_computed_ahead_it_ends_in_the_same_bytes(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: list[ArtifactRef]
) -> None:
    place, calls = place_for(data, tmp_path, stage_two=stage(train=LAST_BLOCK)), itertools.count(1)

    class Dying(Compute):
        def __call__(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
            if next(calls) > 5:
                die()
            return super().__call__(images)

    with monkeypatch.context() as patch:
        computing(patch)
        patch.setattr(features_work, "infer_in_order", infer_in_order)
        patch.setattr(features_work, "Compute", Dying)
        patch.setattr("thaw.tasks.artifacts.store.shutil.rmtree", lambda *_, **__: None)
        with pytest.raises(KillError):
            place.compute(place.features_one())
    rest = computing(monkeypatch)
    assert place.compute(place.features_one()) == undisturbed
    assert len(BATCHES) - 5 <= len(rest) < len(BATCHES)


def test_what_was_written_after_the_last_save_is_computed_again_and_needs_no_room_for_the_rest(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: list[ArtifactRef]
) -> None:
    place = place_for(data, tmp_path, stage_two=stage(train=LAST_BLOCK))
    with monkeypatch.context() as patch:
        patch.setattr(AtMostEvery, "__call__", lambda _: False)
        stopped(place, monkeypatch, 13)
    rest = computing(monkeypatch)
    room = Usage(10**9, 0, 500_000_000 + 30_000)  # 25,600 bytes are left of 202,240
    monkeypatch.setattr("thaw.tasks.training.features.work.shutil.disk_usage", lambda _: room)
    assert place.compute(place.features_one()) == undisturbed
    assert rest == BATCHES[12:]  # the end of a split is saved


@pytest.mark.parametrize("name", ["view-1.npy", "progress.json"])
def test_damage_to_what_was_left_is_told_and_costs_the_pass_and_not_the_result(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: list[ArtifactRef], name: str
) -> None:
    place, reporter = place_for(data, tmp_path, stage_two=stage(train=LAST_BLOCK)), Recorder()
    stopped(place, monkeypatch, 14)
    folder = place.store.checkpoints(place.features_one().key)
    test_resume.flip_a_bit(folder / name)
    rest = computing(monkeypatch)
    assert place.compute(place.features_one(), reporter) == undisturbed
    assert rest == BATCHES
    (warning,) = reporter.told("warning")
    assert f"{folder / 'progress.json'} is of no use, so the frozen layers begin again" in warning


def test_features_of_two_stages_that_were_left_at_different_places_end_in_the_same_bytes(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: list[ArtifactRef]
) -> None:
    place = place_for(data, tmp_path, stage_two=stage(train=LAST_BLOCK))
    one, two = (place.store.checkpoints(step.key) for step in place.features_one().together())
    stopped(place, monkeypatch, 3)
    earlier = (one / "progress.json").read_bytes()
    stopped(place, monkeypatch, 5)
    (one / "progress.json").write_bytes(earlier)
    before = stopped(place, monkeypatch, 2)  # now stage two's knows less than it did, and says so
    assert json.loads((two / "progress.json").read_text())["images"] == {"train": 4 + 2 * len(before)}
    assert place.compute(place.features_one()) == undisturbed


def test_bfloat16_is_remembered(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features_work, "_LARGEST_FLOAT16", 1e-3)
    refs, rest = [], []
    for name, stops in (("a", []), ("b", [1 + 4])):  # one batch that does not fit, and three that do
        place = place_for(data, tmp_path / name, stage_one=stage(train=LAST_BLOCK))
        for stop in stops:
            stopped(place, monkeypatch, stop)
        with monkeypatch.context() as patch:
            rest = computing(patch)
            refs.append(place.compute(place.features_one()))
    assert refs[0] == refs[1]
    assert rest == BATCHES[3:]


def test_without_hard_links_the_files_are_moved(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: list[ArtifactRef]
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr("thaw.tasks.training.features.unfinished.os.link", refuse)
    place = place_for(data, tmp_path, stage_two=stage(train=LAST_BLOCK))
    assert place.compute(place.features_one()) == undisturbed


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
    with pytest.raises(ArtifactError, match="stage_one: the features that it needs are gone"):
        place.train(place.stage_one(place.features_one()))
    assert place.store.key_documents("stage") == []


@pytest.mark.parametrize("precision", ["bfloat16", pytest.param("float16", marks=pytest.mark.slow)])
def test_a_stage_of_another_precision_learns_from_features(data: Path, tmp_path: Path, precision: str) -> None:
    settings = stage(train=LAST_BLOCK, optimizer={"name": "sgd", "learning_rate": 0.001})
    place = place_for(data, tmp_path, stage_one=settings, precision=precision)
    features = place.features_one()
    place.compute(features)
    facts = [place.store.facts(place.train(place.stage_one(each)), StageFacts) for each in (features, None)]
    assert facts[0].val_loss == pytest.approx(facts[1].val_loss, rel=0.05)
