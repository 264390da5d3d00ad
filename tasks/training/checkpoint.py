"""Checkpoints: all that the rest of a stage depends on, in one file that is whole or absent.

    checkpoints/<key>/epoch-<epoch under way>-step-<its steps done>-<SHA-256 of the file>.npz

A checkpoint is written under another name, synced, read back and compared, and then renamed. The one before it stays,
so that damage costs at most the steps between two. The file holds arrays and one JSON document, no code.
"""

import dataclasses
import hashlib
import io
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import keras
import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from thaw.pipeline_config.errors import ArtifactError, TrainingError
from thaw.tasks.artifacts.atomic import sync
from thaw.tasks.artifacts.manifest import file_sha256
from thaw.tasks.artifacts.refusals import reading, writing
from thaw.tasks.process import Reporter
from thaw.tasks.training.state import EpochRow, TrainingState

_KEPT = 2
_SECONDS_BETWEEN_CHECKPOINTS = 300.0
_UNFINISHED = ".unfinished"
_NAME = re.compile(r"epoch-\d{6}-step-\d{9}-[0-9a-f]{64}\.npz")
_DOCUMENT = "document"


class _Document(BaseModel):
    """What a checkpoint holds besides arrays; `variables` says which arrays it has, so that no other model takes it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    variables: list[str]
    best: int
    steps: int
    history: list[EpochRow]
    best_epoch: int
    reference: float
    waited: int
    epoch_steps: int
    loss_sum: float
    right: int
    seen: int
    seconds: float


_STATE_FIELDS = [field.name for field in dataclasses.fields(TrainingState) if field.name in _Document.model_fields]


class Checkpoints:
    """The checkpoints of one stage."""

    def __init__(
        self, name: str, folder: Path, variables: Sequence[keras.Variable], *, every: int | None, reporter: Reporter
    ) -> None:
        """Say what is kept, where, and how often; nothing is written yet.

        Args:
            name: The stage's name, for messages.
            folder: Made when the first checkpoint is written.
            variables: Everything that training changes: the thawed part of the model, the optimizer, seed generators.
            every: Training steps between checkpoints; None for one after each epoch, and every five minutes.
            reporter: Takes warnings.
        """
        self.name = name
        self.folder = folder
        self._variables = variables
        self._every = every
        self._reporter = reporter
        self._last_save = time.monotonic()

    def save_if_due(self, state: TrainingState, *, epoch_ended: bool) -> None:
        """Write a checkpoint if it is time for one. When that is has no influence on the result.

        Raises:
            TrainingError: A variable is not finite; the checkpoint before is kept.
        """
        if self._every is not None:
            due = not epoch_ended and state.steps % self._every == 0
        else:
            due = epoch_ended or time.monotonic() - self._last_save > _SECONDS_BETWEEN_CHECKPOINTS
        if due:
            self.save(state)

    def save(self, state: TrainingState) -> None:
        """Write a checkpoint, and remove those that it makes superfluous.

        A disk that takes no checkpoint does not stop the training, which may well end before it matters; a warning
        says so.

        Raises:
            TrainingError: A variable is not finite; the checkpoint before is kept.
        """
        arrays = [keras.ops.convert_to_numpy(variable) for variable in self._variables]
        for variable, array in zip(self._variables, arrays, strict=True):
            if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
                raise TrainingError(
                    f"{self.name}: {variable.path} is not finite in epoch {state.epoch}, "
                    f"after step {state.epoch_steps}. Lower the stage's learning_rate, or check the images."
                )
        self._last_save = time.monotonic()
        try:
            self._write(arrays, state)
            self._remove(*self._paths()[_KEPT:])
        except ArtifactError as error:
            self._reporter.warn(f"{self.name}, epoch {state.epoch}, step {state.epoch_steps}: no checkpoint. {error}")

    def restore(self) -> TrainingState | None:
        """Set the variables to those of the newest checkpoint that is whole, and return the loop's state then.

        None where there is no checkpoint. One that is damaged is removed, with a warning.
        """
        for path in self._paths():
            try:
                arrays, document = self._read(path)
            except ArtifactError as error:
                self._reporter.warn(f"{error} An earlier checkpoint is used, if there is one.")
                self._remove(path)
                continue
            count = len(self._variables)
            for variable, array in zip(self._variables, arrays[:count], strict=True):
                variable.assign(array)
            best = arrays[count:] if document.best else None
            kept = {name: getattr(document, name) for name in _STATE_FIELDS}
            return TrainingState(best_weights=best, seconds_before=document.seconds, **kept)
        return None

    def _write(self, arrays: list[np.ndarray], state: TrainingState) -> None:
        best = state.best_weights or []
        kept = {name: getattr(state, name) for name in _STATE_FIELDS}
        document = _Document(variables=self._signatures(), best=len(best), seconds=state.seconds, **kept)
        content = {f"array_{number}": array for number, array in enumerate([*arrays, *best])}
        content[_DOCUMENT] = np.frombuffer(document.model_dump_json().encode(), np.uint8)
        position = f"epoch-{state.epoch:06}-step-{state.epoch_steps:09}"
        unfinished = self.folder / _UNFINISHED
        with writing(unfinished):
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                with unfinished.open("wb") as file:
                    tee = _HashingWriter(file)
                    np.savez(tee, allow_pickle=False, **content)
                    file.flush()
                    sync(unfinished)
                if file_sha256(unfinished) != (sha256 := tee.digest.hexdigest()):
                    raise ArtifactError(f"{unfinished} does not read back as it was written. Check the disk.")
                unfinished.replace(self.folder / f"{position}-{sha256}.npz")
                sync(self.folder)
            finally:
                unfinished.unlink(missing_ok=True)

    def _read(self, path: Path) -> tuple[list[np.ndarray], _Document]:
        with reading(path):  # what cannot be read now may be whole, and is not removed
            content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != path.stem.rpartition("-")[2]:
            raise ArtifactError(f"{path} is damaged: its SHA-256 is not the one in its name.")
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                document = _Document.model_validate_json(arrays[_DOCUMENT].tobytes())
                numbers = range(len(document.variables) + document.best)
                values = [arrays[f"array_{number}"] for number in numbers]
        except (ValueError, KeyError, ValidationError) as error:
            raise ArtifactError(f"{path} is not a checkpoint of this version of thaw.") from error
        if document.variables != self._signatures():
            raise ArtifactError(f"{path} is the checkpoint of another model.")
        return values, document

    def _remove(self, *paths: Path) -> None:
        for path in paths:
            with writing(path):
                path.unlink()

    def _signatures(self) -> list[str]:
        return [f"{variable.path} {variable.dtype} {tuple(variable.shape)}" for variable in self._variables]

    def _paths(self) -> list[Path]:
        # Newest first: by position, whatever a clock says.
        if not self.folder.is_dir():
            return []
        return sorted((path for path in self.folder.iterdir() if _NAME.fullmatch(path.name)), reverse=True)


class _HashingWriter(io.RawIOBase):
    """Hashes what it passes on, so that what was meant to be written can be compared with what was."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file
        self.digest = hashlib.sha256()

    def write(self, content: Any) -> int:
        self.digest.update(content)
        return self._file.write(content)
