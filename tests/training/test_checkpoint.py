"""Checkpoints by themselves: whole or absent, never another model's, never one that is not finite."""

import errno
import io
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.faults.reading import FailingReads
from thaw.pipeline_config.errors import TrainingError, UnreadableError
from thaw.tasks.process import Reporter
from thaw.tasks.training import checkpoint
from thaw.tasks.training.checkpoint import Checkpoints
from thaw.tasks.training.state import EpochRow, TrainingState

finite = st.floats(allow_nan=False, allow_infinity=False, width=32)


def variables_of(*values: float) -> list[keras.Variable]:
    return [keras.Variable(np.full((2, 3), value, np.float32), name=f"v{i}") for i, value in enumerate(values)]


def checkpoints_in(folder: Path, variables: list[keras.Variable], output: io.StringIO | None = None) -> Checkpoints:
    return Checkpoints("stage_one", folder, variables, every=None, reporter=Reporter(output or io.StringIO()))


def state_after(epoch: int, steps: int = 0) -> TrainingState:
    row = EpochRow(epoch=0, loss=None, accuracy=None, val_loss=1.0, val_accuracy=0.5, learning_rate=0.0)
    rows = [row.model_copy(update={"epoch": number}) for number in range(epoch)]
    return TrainingState(history=rows, reference=0.5, epoch_steps=steps, loss_sum=0.5 * steps, steps=steps)


@given(
    values=st.lists(finite, min_size=1, max_size=4),
    loss_sum=st.floats(allow_nan=False, allow_infinity=False),
    best=st.lists(finite, max_size=3),
    reference=st.floats(allow_nan=False, allow_infinity=False),
)
def test_what_is_saved_is_restored_to_the_last_bit(
    tmp_path_factory: pytest.TempPathFactory,
    values: list[float],
    loss_sum: float,
    best: list[float],
    reference: float,
) -> None:
    folder = tmp_path_factory.mktemp("checkpoints")
    state = state_after(2)
    state.loss_sum, state.reference, state.right, state.seen, state.waited = loss_sum, reference, 3, 8, 1
    state.best_weights = [np.full(2, value, np.float32) for value in best] or None
    checkpoints_in(folder, variables_of(*values)).save(state)
    variables = variables_of(*(0 for _ in values))
    restored = checkpoints_in(folder, variables).restore()
    assert restored is not None
    assert [float(variable[0, 0]) for variable in variables] == values
    restored_best, state_best = restored.best_weights or [], state.best_weights or []
    assert [array.tolist() for array in restored_best] == [array.tolist() for array in state_best]
    restored.best_weights = state.best_weights = None
    assert restored == state


def test_the_seconds_of_an_attempt_that_was_cut_short_count(tmp_path: Path) -> None:
    checkpoints = checkpoints_in(tmp_path, variables_of(1))
    state = state_after(1)
    state.since -= 100
    checkpoints.save(state)
    restored = checkpoints.restore()
    assert restored is not None
    assert 100 <= restored.seconds < 110
    restored.since -= 50
    assert 150 <= restored.seconds < 160


def test_the_newest_is_taken_and_only_the_one_before_it_stays(tmp_path: Path) -> None:
    variables = variables_of(0)
    checkpoints = checkpoints_in(tmp_path, variables)
    # By position, not by time: the last to be written is not the newest here.
    for epoch, steps in [(1, 9), (2, 0), (10, 1), (2, 5)]:
        variables[0].assign(np.full((2, 3), epoch, np.float32))
        checkpoints.save(state_after(epoch, steps))
    assert len(list(tmp_path.iterdir())) == 2
    restored = checkpoints.restore()
    assert restored is not None
    assert (restored.epoch, restored.epoch_steps) == (10, 1)
    assert float(variables[0][0, 0]) == 10


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "rename"])
def test_a_damaged_one_is_removed_with_a_warning_and_the_one_before_it_is_taken(tmp_path: Path, damage: str) -> None:
    output = io.StringIO()
    checkpoints = checkpoints_in(tmp_path, variables_of(1), output)
    checkpoints.save(state_after(1))
    checkpoints.save(state_after(2))
    newest = max(tmp_path.iterdir())
    content = bytearray(newest.read_bytes())
    match damage:
        case "flip":
            content[100] ^= 1
        case "cut":
            content = content[:-7]
        case "empty":
            content = bytearray()
        case "rename":
            newest = newest.rename(newest.with_name(newest.name.replace("000002", "000003")))
            content[-1] ^= 1
    newest.write_bytes(content)
    restored = checkpoints.restore()
    assert restored is not None
    assert restored.epoch == 1
    assert newest.name in output.getvalue()
    assert not newest.exists()


def test_another_models_checkpoint_is_not_taken(tmp_path: Path) -> None:
    checkpoints_in(tmp_path, variables_of(1, 2)).save(state_after(1))
    output = io.StringIO()
    assert checkpoints_in(tmp_path, variables_of(1), output).restore() is None
    assert "another model" in output.getvalue()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_not_saved_and_the_one_before_it_stays(tmp_path: Path, value: float) -> None:
    variables = variables_of(1, 2)
    checkpoints = checkpoints_in(tmp_path, variables)
    checkpoints.save(state_after(1))
    before = list(tmp_path.iterdir())
    variables[1].assign(np.full((2, 3), value, np.float32))
    with pytest.raises(TrainingError, match="stage_one: v1 is not finite in epoch 2, after step 3"):
        checkpoints.save(state_after(2, steps=3))
    assert list(tmp_path.iterdir()) == before


def test_a_disk_that_takes_no_checkpoint_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = io.StringIO()
    checkpoints = checkpoints_in(tmp_path, variables_of(1), output)
    checkpoints.save(state_after(1))
    before = list(tmp_path.iterdir())

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    checkpoints.save(state_after(2))
    assert "No space left on device" in output.getvalue()
    assert list(tmp_path.iterdir()) == before


def test_a_disk_that_reads_back_something_else_keeps_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = io.StringIO()
    checkpoints = checkpoints_in(tmp_path, variables_of(1), output)
    checkpoints.save(state_after(1))
    before = list(tmp_path.iterdir())
    monkeypatch.setattr(checkpoint, "file_sha256", lambda path: "0" * 64)
    checkpoints.save(state_after(2))
    assert "does not read back as it was written" in output.getvalue()
    assert list(tmp_path.iterdir()) == before


def test_a_checkpoint_that_cannot_be_read_now_is_an_error_and_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints_in(tmp_path, variables_of(1.0)).save(state_after(1))
    (path,) = tmp_path.iterdir()
    with monkeypatch.context() as patch:
        FailingReads(tmp_path, errno.EMFILE, 1).install(patch)
        with pytest.raises(UnreadableError, match=rf"{path.name} cannot be read: Too many open files\."):
            checkpoints_in(tmp_path, variables_of(0.0)).restore()
    assert checkpoints_in(tmp_path, variables_of(0.0)).restore() == state_after(1)
