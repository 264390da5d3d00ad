"""The training loop of one stage: epochs of steps, a measurement after each, the best weights, early stopping."""

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import keras
import numpy as np
import tensorflow as tf

from pipeline_config.errors import TrainingError
from pipeline_config.stage_schema import StageConfig
from tasks.process import Reporter
from tasks.training.optimizers import learning_rate_at
from tasks.training.step_functions import MeasureFunction, TrainFunction

_SECONDS_BETWEEN_PROGRESS = 1.0


@dataclass(frozen=True)
class EpochRow:
    """One row of the history.

    Attributes:
        epoch: 0 is the state before the first step.
        loss: Mean training loss over the epoch's steps, with smoothing and class weights; None at epoch 0.
        accuracy: Share of training images that were right when they were trained on; None at epoch 0.
        val_loss: Cross-entropy on the validation split, in nats, without smoothing or class weights.
        val_accuracy: Share of validation images that are right.
        learning_rate: At the epoch's last step; 0 at epoch 0.
    """

    epoch: int
    loss: float | None
    accuracy: float | None
    val_loss: float
    val_accuracy: float
    learning_rate: float


@dataclass
class TrainingState:
    """What the loop knows besides the model's and the optimizer's variables.

    Attributes:
        history: One row for each measured epoch.
        best_epoch: The epoch with the best metric so far; the earliest of equals.
        best_weights: The model's weights then, kept only where the stage asks for the best.
        reference: The metric that early stopping compares with.
        waited: Epochs since that reference.
    """

    history: list[EpochRow] = field(default_factory=list)
    best_epoch: int = 0
    best_weights: list[np.ndarray] | None = None
    reference: float = -math.inf
    waited: int = 0


@dataclass(frozen=True)
class Loop:
    """Everything that a stage's training needs.

    Attributes:
        name: The stage's name, for the log.
        model: The classifier whose variables are updated.
        stage: The stage's settings.
        train: From `make_train_function`.
        measure: From `make_measure_function`.
        training_batches: All batches of all epochs, (images, labels).
        validation_batches: One pass, (images, labels, indices); gone through after every epoch.
        steps_per_epoch: Batches in an epoch.
        reporter: Takes progress and log lines.
    """

    name: str
    model: keras.Model
    stage: StageConfig
    train: TrainFunction
    measure: MeasureFunction
    training_batches: Iterable[tuple[tf.Tensor, tf.Tensor]]
    validation_batches: Iterable[tuple[tf.Tensor, tf.Tensor, tf.Tensor]]
    steps_per_epoch: int
    reporter: Reporter

    def run(self) -> TrainingState:
        """Train the stage. Afterwards the model holds the weights that the stage keeps.

        Returns:
            The final state.

        Raises:
            TrainingError: A loss is not finite; the message names the epoch and the step.
        """
        state = TrainingState()
        val_loss, val_accuracy = self._validate(0)
        self._note(state, EpochRow(0, None, None, val_loss, val_accuracy, 0.0))
        batches = iter(self.training_batches)
        for epoch in range(1, self.stage.epochs + 1):
            self._note(state, self._epoch(epoch, batches))
            if self._should_stop(state):
                self.reporter.log(f"{self.name} stops after epoch {epoch}: {self._stopping_reason(state)}")
                break
        if self.stage.keep == "best" and state.best_weights is not None:
            self.model.set_weights(state.best_weights)
        return state

    def _epoch(self, epoch: int, batches: Iterator[tuple[tf.Tensor, tf.Tensor]]) -> EpochRow:
        losses: list[float] = []
        right = seen = 0
        learning_rate = 0.0
        last_report = time.monotonic()
        for position in range(self.steps_per_epoch):
            step = (epoch - 1) * self.steps_per_epoch + position
            images, labels = next(batches)
            learning_rate = self._learning_rate(step)
            loss, right_here = self.train(images, labels, tf.constant(learning_rate), tf.constant(step))
            losses.append(float(loss))
            if not math.isfinite(losses[-1]):
                raise TrainingError(
                    f"{self.name}: the loss is {losses[-1]} at epoch {epoch}, "
                    f"step {position + 1} of {self.steps_per_epoch}. "
                    "Lower the stage's learning_rate, or check the images."
                )
            right, seen = right + int(right_here), seen + int(labels.shape[0])
            if time.monotonic() - last_report > _SECONDS_BETWEEN_PROGRESS:
                last_report = time.monotonic()
                self._progress(epoch, (position + 1) / self.steps_per_epoch, f"loss {losses[-1]:.3f}")
        val_loss, val_accuracy = self._validate(epoch)
        return EpochRow(epoch, float(np.mean(losses)), right / seen, val_loss, val_accuracy, learning_rate)

    def _validate(self, epoch: int) -> tuple[float, float]:
        loss, right, seen = 0.0, 0, 0
        for images, labels, _ in self.validation_batches:
            batch_loss, batch_right = self.measure(images, labels)
            loss, right, seen = loss + float(batch_loss), right + int(batch_right), seen + int(labels.shape[0])
        if not math.isfinite(loss):
            raise TrainingError(
                f"{self.name}: the validation loss is {loss} after epoch {epoch}. Lower the learning_rate."
            )
        return loss / seen, right / seen

    def _note(self, state: TrainingState, row: EpochRow) -> None:
        state.history.append(row)
        metric = self._metric_of(row)
        min_delta = self.stage.early_stopping.min_delta if self.stage.early_stopping else 0.0
        state.waited += 1
        if metric > state.reference + min_delta or row.epoch == 0:
            state.reference, state.waited = metric, 0
        if row.epoch == 0 or metric > self._metric_of(state.history[state.best_epoch]):
            state.best_epoch = row.epoch
            if self.stage.keep == "best":
                state.best_weights = self.model.get_weights()
        self._log(row)

    def _metric_of(self, row: EpochRow) -> float:
        return row.val_accuracy if self.stage.metric == "val_accuracy" else -row.val_loss

    def _should_stop(self, state: TrainingState) -> bool:
        return self.stage.early_stopping is not None and state.waited >= self.stage.early_stopping.patience

    def _stopping_reason(self, state: TrainingState) -> str:
        return f"{self.stage.metric} has not improved for {state.waited} epochs."

    def _learning_rate(self, step: int) -> float:
        return learning_rate_at(
            step,
            peak=self.stage.optimizer.learning_rate,
            schedule=self.stage.schedule,
            steps_per_epoch=self.steps_per_epoch,
            epochs=self.stage.epochs,
        )

    def _log(self, row: EpochRow) -> None:
        validation = f"validation loss {row.val_loss:.4f}, accuracy {row.val_accuracy:.4f}"
        if row.loss is None or row.accuracy is None:
            self.reporter.log(f"{self.name}, before the first step: {validation}")
        else:
            training = f"loss {row.loss:.4f}, accuracy {row.accuracy:.4f}"
            self.reporter.log(f"{self.name}, epoch {row.epoch} of {self.stage.epochs}: {training}; {validation}")
            self._progress(row.epoch, 1.0, f"validation accuracy {row.val_accuracy:.3f}")

    def _progress(self, epoch: int, share: float, text: str) -> None:
        done = (epoch - 1 + share) / self.stage.epochs
        self.reporter.progress(done, f"{self.name}: epoch {epoch} of {self.stage.epochs}, {text}")
