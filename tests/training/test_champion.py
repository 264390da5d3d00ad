"""Training that starts from the champion's weights: what is taken over, by which class, and how it is left."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.ingest.pictures import Recorder
from tests.preflight.made import images, keep, learn
from tests.support import write_pictures
from tests.training import test_resume
from tests.training.features import Place, place_for, stage
from thaw.pipeline_config.errors import StepProcessError
from thaw.pipeline_config.schema import ModelConfig
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.artifacts.step import Made
from thaw.tasks.training.champion import shrink_and_perturb
from thaw.tasks.training.model import build_classifier
from thaw.tasks.training.stage_artifact import load_classifier
from thaw.tasks.training.stage_facts import StageFacts
from thaw.tasks.training.step import TrainWork
from thaw.tasks.training.work import train_stage

SHRUNK = {"champion": {"shrink": 0.5, "perturb": 0.1}}
LAST_BLOCK = {"last_blocks": 1}
Weights = dict[str, np.ndarray]


def warm(weights: Any = "champion", **settings: Any) -> dict[str, Any]:
    """What a recipe changes to start from the champion; its first stage trains nothing unless it is told to."""
    one = stage(**{"epochs": 0, "train": "all", "feature_views": 0} | settings)
    return {"model": {"backbone": "SmallCNN", "dropout": 0.1, "weights": weights}, "stage_one": one}


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder with a champion that knows blue and red, and images of which there are more now."""
    folder: Path = tmp_path_factory.mktemp("champion")
    write_pictures(folder / "data", each=20)
    place = place_for(folder / "data", folder / "home", **warm(epochs=1))
    ref = place.train(place.stage_one(None))
    learn(place.home.path, keep(place.home.path, images(10)), place.recipe, tag=ref.digest)
    write_pictures(folder / "more", each=26)
    return folder


def copied(champion: Path, folder: Path) -> Path:
    shutil.copytree(champion / "home", folder)
    return folder


def trained(place: Place, reporter: Recorder | None = None) -> ArtifactRef:
    step = place.stage_one(None)
    assert step.champion is not None

    def work(folder: Path) -> Made:
        request = TrainWork(home=place.home, folder=folder, step=step, checkpoints=place.store.checkpoints(step.key))
        return Made.timed(lambda: train_stage(request, reporter or Recorder()))

    return place.store.build(step, work)


def weights_of(place: Place, ref: ArtifactRef) -> Weights:
    return {
        each.path: each.numpy()
        for each in load_classifier(place.store.verified(ref)).variables
        if "seed" not in each.path
    }


def champions(place: Place) -> Weights:
    step = place.stage_one(None)
    assert step.champion_stage is not None
    return weights_of(place, step.champion_stage)


def test_a_stage_starts_from_exactly_the_champions_weights_also_at_another_resolution(champion: Path) -> None:
    for resolution in (16, 24):
        place = place_for(champion / "more", champion / "home", **warm(resolution=resolution))
        reporter = Recorder()
        found, expected = weights_of(place, trained(place, reporter)), champions(place)
        assert found.keys() == expected.keys()
        assert all(np.array_equal(found[name], expected[name]) for name in expected)
        (line,) = [line for line in reporter.told("log") if "starts from" in line]
        assert line.startswith("stage_one starts from the weights of small-")
        assert reporter.told("warning") == []


def test_outputs_follow_their_classes_a_new_one_is_random_and_one_that_is_gone_is_dropped(
    champion: Path, tmp_path: Path
) -> None:
    write_pictures(tmp_path / "data", classes=("green", "red"), each=10)
    reporters = [Recorder(), Recorder()]
    places = [place_for(tmp_path / "data", champion / "home", **warm(weights)) for weights in ("champion", SHRUNK)]
    found = [weights_of(place, trained(place, told)) for place, told in zip(places, reporters, strict=True)]
    expected = champions(places[0])
    plain, shrunk = (each["logits/kernel"] for each in found)
    assert np.array_equal(plain[:, 1], expected["logits/kernel"][:, 1])  # red, the second here and there
    assert plain[:, 0].std() > 0.01
    assert not np.array_equal(plain[:, 0], expected["logits/kernel"][:, 0])
    assert np.array_equal(shrunk[:, 0], plain[:, 0])
    assert not np.array_equal(shrunk[:, 1], plain[:, 1])
    assert found[0]["logits/bias"][1] == expected["logits/bias"][1]
    for reporter in reporters:
        (warning,) = reporter.told("warning")
        assert "the champion has not learned green" in warning
        (line,) = [line for line in reporter.told("log") if "dropped" in line]
        assert "for blue is dropped" in line


def test_only_what_the_stage_trains_is_shrunk_and_perturbed_and_no_statistics(champion: Path) -> None:
    place = place_for(champion / "more", champion / "home", **warm(SHRUNK, train=LAST_BLOCK, batch_norm="train"))
    found, before = weights_of(place, trained(place)), champions(place)
    changed = {name for name in before if not np.array_equal(found[name], before[name])}
    assert changed == {name for name in before if name.startswith(("block3", "logits")) and "moving" not in name} - {
        name for name in before if name.endswith("logits/bias") and not np.any(before[name])
    }
    for name in changed:
        noise = (found[name] - np.float32(0.5) * before[name]) / np.float32(0.1)
        assert np.abs(noise).max() < 3, name
        assert noise.std() > 0 or name.endswith(("gamma", "beta", "bias")), name


def test_the_seed_decides_the_noise(champion: Path, tmp_path: Path) -> None:
    refs = [
        trained(place_for(champion / "more", copied(champion, tmp_path / name), seed=seed, **warm(SHRUNK)))
        for name, seed in (("a", 3), ("b", 3), ("c", 4))
    ]
    assert refs[0] == refs[1]
    assert refs[0] != refs[2]


def test_shrink_and_perturb_is_what_it_says() -> None:
    config = ModelConfig(backbone="SmallCNN", head_batch_norm=True)
    model, fresh = (build_classifier(config, classes=3, resolution=16, pretrained=False) for _ in range(2))
    before, noise = ([each.numpy() for each in one.trainable_variables] for one in (model, fresh))
    is_new = np.asarray([False, True, False])
    shrink_and_perturb(model.trainable_variables, fresh, is_new, shrink=0.25, perturb=0.5)
    for variable, old, other in zip(model.trainable_variables, before, noise, strict=True):
        expected = np.float32(0.25) * old + np.float32(0.5) * other
        if variable.path.startswith("logits"):
            expected[..., 1] = old[..., 1]
        assert np.array_equal(variable.numpy(), expected), variable.path


@pytest.mark.parametrize(
    ("after", "stop"),
    [pytest.param(5, test_resume.stop_at_once, marks=pytest.mark.slow), (2, test_resume.ask_to_leave)],
)
def test_killed_and_gone_on_it_ends_in_the_same_bytes(
    champion: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int, stop: Callable[[], None]
) -> None:
    settings = warm(SHRUNK, epochs=2)
    undisturbed = trained(place_for(champion / "more", champion / "home", **settings))
    place = place_for(champion / "more", copied(champion, tmp_path / "home"), **settings)
    place.store.forget(place.stage_one(None).key)
    stops = test_resume.StopsAt
    monkeypatch.setattr("thaw.tasks.training.work.Checkpoints", stops)
    stops.stop_after, stops.stop = after, staticmethod(stop)
    with pytest.raises((test_resume.StopError, StepProcessError)):
        trained(place)
    assert stops.stop_after == 0, "the test needs a stop"
    reporter = Recorder()
    assert trained(place, reporter) == undisturbed
    assert any("goes on from a checkpoint" in line for line in reporter.told("log"))


@pytest.mark.slow
def test_features_are_what_the_champions_layers_put_out(champion: Path) -> None:
    settings = {"train": "head", "feature_views": 1, "epochs": 1}
    place = place_for(champion / "more", champion / "home", augment=[], **warm(SHRUNK, **settings))
    place.compute(place.features_one())
    steps = place.stage_one(place.features_one()), place.stage_one(None)
    from_features, from_images = (place.store.facts(place.train(step), StageFacts) for step in steps)
    assert from_features.feature_views == 1
    assert from_images.feature_views == 0
    assert from_features.before.val_loss == pytest.approx(from_images.before.val_loss, rel=1e-5)
    assert from_features.val_loss == pytest.approx(from_images.val_loss, rel=1e-4)
