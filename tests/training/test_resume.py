"""A stage that was stopped goes on in the middle of an epoch, and ends in the same bytes as one that was not."""

import functools
import io
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support import build_records, silent_reporter, small_recipe, write_pictures
from thaw.flows import requests
from thaw.pipeline_config.errors import StepProcessError, TrainingError
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.artifacts.step import Made
from thaw.tasks.home import Home
from thaw.tasks.process import Reporter
from thaw.tasks.training.checkpoint import Checkpoints
from thaw.tasks.training.state import TrainingState
from thaw.tasks.training.step import TrainStep, TrainWork
from thaw.tasks.training.work import train_stage

EPOCHS = 3
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "adam": {"name": "adam", "learning_rate": 0.01},
    "adamw": {"name": "adamw", "learning_rate": 0.01},
    "rmsprop": {"name": "rmsprop", "learning_rate": 0.001, "momentum": 0.5},
    "sgd": {"name": "sgd", "learning_rate": 0.05},
}
STAGE = {
    "resolution": 16,
    "train": "all",
    "epochs": EPOCHS,
    "batch_size": 8,
    "keep": "best",
    "metric": "val_loss",
    "schedule": {"name": "cosine", "warmup_epochs": 1},
}


class StopError(BaseException):
    """Not an Exception, as a kill is none: nothing in the code may catch it."""


class StopsAt(Checkpoints):
    """Stops the training after so many steps, at once or with a last checkpoint."""

    stop_after = 0
    stop: Callable[[], None]

    def save_if_due(self, state: TrainingState, *, epoch_ended: bool) -> None:
        super().save_if_due(state, epoch_ended=epoch_ended)
        if state.steps == StopsAt.stop_after and not epoch_ended:
            StopsAt.stop_after = 0
            StopsAt.stop()


def stop_at_once() -> None:
    raise StopError


def ask_to_leave() -> None:
    signal.raise_signal(signal.SIGTERM)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("resume")
    write_pictures(folder / "data", each=20)
    return folder


def stage_step(place: Path, home: Path, **changes: Any) -> TrainStep:
    recipe = small_recipe(place / "data", stage_one=STAGE | {"optimizer": OPTIMIZERS["adam"]} | changes)
    return requests.stage_one(recipe, Home.open(home), build_records(home, recipe), None)


def train(home: Path, step: TrainStep, *, every: int | None = None, reporter: Reporter | None = None) -> ArtifactRef:
    opened = Home.open(home)

    def work(folder: Path) -> Made:
        checkpoints = opened.store.checkpoints(step.key)
        request = TrainWork(home=opened, folder=folder, step=step, checkpoints=checkpoints, checkpoint_every=every)
        return Made.timed(lambda: train_stage(request, reporter or silent_reporter()))

    return opened.store.build(step, work)


@pytest.fixture(scope="module")
def undisturbed(place: Path) -> Callable[[str], ArtifactRef]:
    @functools.cache
    def trained(optimizer: str) -> ArtifactRef:
        home = place / f"undisturbed-{optimizer}"
        return train(home, stage_step(place, home, optimizer=OPTIMIZERS[optimizer]))

    return trained


@pytest.mark.parametrize(
    ("optimizer", "after", "stop", "every"),
    [
        ("adam", 1, stop_at_once, None),  # before the first checkpoint
        ("adam", 5, stop_at_once, None),  # in the second epoch, after the checkpoint of the first
        ("adam", 6, ask_to_leave, None),  # the epoch's last step: it leaves while it measures
        pytest.param("adam", 9, stop_at_once, 5, marks=pytest.mark.slow),  # the stage's last step
        pytest.param("adamw", 5, ask_to_leave, None, marks=pytest.mark.slow),
        ("rmsprop", 7, stop_at_once, 2),
        pytest.param("sgd", 2, ask_to_leave, 1000, marks=pytest.mark.slow),
    ],
)
def test_stopped_anywhere_it_ends_in_the_same_bytes(
    *,
    place: Path,
    tmp_path: Path,
    undisturbed: Callable[[str], ArtifactRef],
    monkeypatch: pytest.MonkeyPatch,
    optimizer: str,
    after: int,
    stop: Callable[[], None],
    every: int | None,
) -> None:
    step = stage_step(place, tmp_path, optimizer=OPTIMIZERS[optimizer])
    monkeypatch.setattr("thaw.tasks.training.work.Checkpoints", StopsAt)
    StopsAt.stop_after, StopsAt.stop = after, staticmethod(stop)
    with pytest.raises((StopError, StepProcessError)):
        train(tmp_path, step, every=every)
    assert StopsAt.stop_after == 0, "the test needs a stop"
    output = io.StringIO()
    assert train(tmp_path, step, every=every, reporter=Reporter(output)) == undisturbed(optimizer)
    assert ("goes on from a checkpoint" in output.getvalue()) == (after > 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backbone", "learns"),
    [
        ("MobileNetV2", {"train": {"from_layer": 100}, "batch_norm": "train"}),
        ("EfficientNetB0", {"train": {"last_blocks": 2}, "batch_norm": "affine"}),  # with dropout of its own
        ("EfficientNetB0", {"train": {"from_layer": "block2b_add"}}),  # in a block that is thawed in part
        ("ResNet50V2", {"train": "last_batch_norm", "batch_norm": "statistics"}),
    ],
)
def test_every_kind_of_network_goes_on_to_the_same_bytes(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backbone: str, learns: dict[str, Any]
) -> None:
    def step_in(home: Path) -> TrainStep:
        step = stage_step(place, home, resolution=32, optimizer=OPTIMIZERS["rmsprop"], **learns)
        model = step.model.model_copy(update={"backbone": backbone})
        return step.model_copy(update={"model": model, "stages_after": {}})  # the recipe's stage two is of another one

    undisturbed = train(tmp_path / "undisturbed", step_in(tmp_path / "undisturbed"))
    monkeypatch.setattr("thaw.tasks.training.work.Checkpoints", StopsAt)
    StopsAt.stop_after, StopsAt.stop = 5, staticmethod(stop_at_once)
    with pytest.raises(StopError):
        train(tmp_path / "stopped", step_in(tmp_path / "stopped"), every=2)
    assert train(tmp_path / "stopped", step_in(tmp_path / "stopped"), every=2) == undisturbed


@pytest.mark.parametrize(
    ("keep", "stop"), [("last", stop_at_once), pytest.param("best", ask_to_leave, marks=pytest.mark.slow)]
)
def test_an_average_of_weights_goes_on_to_the_same_bytes(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: str, stop: Callable[[], None]
) -> None:
    assert_resumes(tmp_path, monkeypatch, stop, lambda home: stage_step(place, home, ema=0.9, keep=keep))


@pytest.mark.slow
def test_float16_goes_on_to_the_same_bytes(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def step_in(home: Path) -> TrainStep:
        return stage_step(place, home).model_copy(update={"precision": "float16"})

    assert_resumes(tmp_path, monkeypatch, stop_at_once, step_in)


def assert_resumes(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stop: Callable[[], None],
    step_in: Callable[[Path], TrainStep],
) -> None:
    undisturbed = train(tmp_path / "a", step_in(tmp_path / "a"))
    monkeypatch.setattr("thaw.tasks.training.work.Checkpoints", StopsAt)
    StopsAt.stop_after, StopsAt.stop = 5, staticmethod(stop)
    step = step_in(tmp_path / "b")
    with pytest.raises((StopError, StepProcessError)):
        train(tmp_path / "b", step, every=2)
    assert train(tmp_path / "b", step, every=2) == undisturbed


def test_damaged_checkpoints_cost_steps_and_not_the_result(
    place: Path, tmp_path: Path, undisturbed: Callable[[str], ArtifactRef], monkeypatch: pytest.MonkeyPatch
) -> None:
    step = stage_step(place, tmp_path)
    monkeypatch.setattr("thaw.tasks.training.work.Checkpoints", StopsAt)
    StopsAt.stop_after, StopsAt.stop = 7, staticmethod(stop_at_once)
    with pytest.raises(StopError):
        train(tmp_path, step)
    newest, previous = sorted(Home.open(tmp_path).store.checkpoints(step.key).iterdir(), reverse=True)
    flip_a_bit(newest)
    output = io.StringIO()
    assert train(tmp_path, step, reporter=Reporter(output)) == undisturbed("adam")
    assert newest.name in output.getvalue()
    assert "goes on from a checkpoint: epoch 2, after step 0" in output.getvalue()
    assert previous.name not in output.getvalue()


def test_a_loss_that_is_not_finite_keeps_the_last_finite_checkpoint(place: Path, tmp_path: Path) -> None:
    step = stage_step(place, tmp_path, optimizer={"name": "sgd", "learning_rate": 1e6})
    with pytest.raises(TrainingError, match=r"not finite|loss is"):
        train(tmp_path, step, every=1)
    kept = list(Home.open(tmp_path).store.checkpoints(step.key).glob("*.npz"))
    assert kept, "the test needs a finite step"
    for path in kept:
        with np.load(path) as arrays:
            assert all(np.isfinite(arrays[name]).all() for name in arrays.files)
    assert not (tmp_path / "artifacts" / "stage").exists()


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
