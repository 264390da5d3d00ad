"""The training loop of one stage: epochs of training steps, a measurement after each, the best weights, early stopping.

The loop is a function of its state: started with the state of a checkpoint, it does what it would have done.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Event

import keras
import numpy as np
import tensorflow as tf

from thaw.pipeline_config.errors import StepProcessError, TrainingError
from thaw.pipeline_config.stage_schema import Adam, AdamW, StageConfig
from thaw.tasks.pace import AtMostEvery
from thaw.tasks.process import Reporter
from thaw.tasks.training.averaging import WeightAverage
from thaw.tasks.training.checkpoint import Checkpoints
from thaw.tasks.training.devices import infer_in_order
from thaw.tasks.training.examples import Examples
from thaw.tasks.training.optimizers import learning_rate_at
from thaw.tasks.training.state import EpochRow, TrainingState
from thaw.tasks.training.step_functions import BatchFunction

_SECONDS_BETWEEN_PROGRESS = 1.0
_FAR_ABOVE = 2.0  # times the loss of guessing; a step or two that went wrong do not bring an epoch's mean there


@dataclass(frozen=True)
class Loop:
    """Everything that a stage's training needs.

    Attributes:
        model: The part of the classifier whose variables are updated.
        loss_of_guessing: The training loss of answers that give every class the same probability.
        average: Of the weights, if the stage asks for it: then it is what is evaluated and what is kept.
        asked_to_leave: Set when the process is to end: the loop writes a checkpoint and raises.
    """

    name: str
    model: keras.Model
    stage: StageConfig
    train: BatchFunction
    evaluate: BatchFunction
    examples: Examples
    steps_per_epoch: int
    loss_of_guessing: float
    average: WeightAverage | None
    checkpoints: Checkpoints
    asked_to_leave: Event
    reporter: Reporter

    def run(self) -> TrainingState:
        """Train the stage, from its last checkpoint if there is one. Afterwards the model holds the weights to keep.

        Raises:
            TrainingError: A loss or a weight is not finite; the message names the epoch and the step.
            StepProcessError: The process was asked to leave; the state is in a checkpoint.
        """
        state = self.checkpoints.restore()
        if state is None:
            state = TrainingState()
            self._note(state, self._measure(state))
        else:
            where = f"epoch {state.epoch}, after step {state.epoch_steps} of {self.steps_per_epoch}"
            self.reporter.log(f"{self.name} goes on from a checkpoint: {where}.")
        batches = iter(self.examples.training(first_epoch=state.epoch, first_step=state.epoch_steps))
        while state.epoch <= self.stage.epochs and not self._should_stop(state):
            self._train_epoch(state, batches)
            self._note(state, row := self._measure(state))
            self._warn_of_high_loss(row)
            self.checkpoints.save_if_due(state, epoch_ended=True)
        if self._should_stop(state):
            self.reporter.log(
                f"{self.name} stops after epoch {state.epoch - 1}: "
                f"{self.stage.metric} has not improved for {state.waited} epochs."
            )
        self.model.set_weights(self._weights() if state.best_weights is None else state.best_weights)
        return state

    def _train_epoch(self, state: TrainingState, batches: Iterator[tuple[tf.Tensor, tf.Tensor]]) -> None:
        is_due = AtMostEvery(_SECONDS_BETWEEN_PROGRESS)
        while (done := state.epoch_steps) < self.steps_per_epoch:
            images, labels = next(batches)
            learning_rate = tf.constant(self._learning_rate(state.steps))
            batch_loss, right = self.train(images, labels, learning_rate, tf.constant(state.steps))
            if not math.isfinite(loss := float(batch_loss)):
                raise TrainingError(
                    f"{self.name}: the loss is {loss} at epoch {state.epoch}, "
                    f"step {done + 1} of {self.steps_per_epoch}. "
                    "Lower the stage's learning_rate or momentum, or check the images."
                )
            state.add_step(loss, right=int(right), seen=int(labels.shape[0]))
            self._leave_if_asked(state)
            self.checkpoints.save_if_due(state, epoch_ended=False)
            if is_due():
                self._progress(state.epoch, (done + 1) / self.steps_per_epoch, f"loss {loss:.3f}")

    def _measure(self, state: TrainingState) -> EpochRow:
        def measure(batch: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> tuple[float, int, int]:
            images, labels, _ = batch
            batch_loss, batch_right = self.evaluate(images, labels)
            return float(batch_loss), int(batch_right), int(labels.shape[0])

        loss, right, seen = 0.0, 0, 0
        for batch_loss, batch_right, batch_seen in infer_in_order(measure, self.examples.validation):
            loss, right, seen = loss + batch_loss, right + batch_right, seen + batch_seen
            self._leave_if_asked(state)
        if not math.isfinite(loss):
            raise TrainingError(
                f"{self.name}: the validation loss is {loss} after epoch {state.epoch}. Lower the learning_rate."
            )
        val_loss, val_accuracy = loss / seen, right / seen
        if state.epoch == 0:
            return EpochRow(epoch=0, val_loss=val_loss, val_accuracy=val_accuracy)
        return EpochRow(
            epoch=state.epoch,
            loss=state.loss_sum / state.seen,
            accuracy=state.right / state.seen,
            val_loss=val_loss,
            val_accuracy=val_accuracy,
            learning_rate=self._learning_rate(state.steps - 1),
        )

    def _leave_if_asked(self, state: TrainingState) -> None:
        if not self.asked_to_leave.is_set():
            return
        if state.history:
            self.checkpoints.save(state)
        raise StepProcessError(
            f"{self.name} was asked to leave in epoch {state.epoch}, after step {state.epoch_steps} of "
            f"{self.steps_per_epoch}. Run again to go on from there."
        )

    def _note(self, state: TrainingState, row: EpochRow) -> None:
        state.add_epoch(row)
        metric = self._metric_of(row)
        min_delta = self.stage.early_stopping.min_delta if self.stage.early_stopping else 0.0
        state.waited += 1
        if metric > state.reference + min_delta or row.epoch == 0:
            state.reference, state.waited = metric, 0
        if row.epoch == 0 or self._rank(row) > self._rank(state.history[state.best_epoch]):
            state.best_epoch = row.epoch
            if self.stage.keep == "best":
                state.best_weights = self._weights()
        self._log(row)

    def _weights(self) -> list[np.ndarray]:
        return self.model.get_weights() if self.average is None else self.average.weights_of(self.model)

    def _warn_of_high_loss(self, row: EpochRow) -> None:
        if row.epoch != 1 or row.loss is None or row.loss <= _FAR_ABOVE * self.loss_of_guessing:
            return
        optimizer = self.stage.optimizer
        momentum = "beta_1" if isinstance(optimizer, Adam | AdamW) else "momentum"
        self.reporter.warn(
            f"{self.name}: the training loss of the first epoch is {row.loss:.3g}, "
            f"far above the {self.loss_of_guessing:.3g} of guessing (the logarithm of the number of classes). "
            f"optimizer.learning_rate ({optimizer.learning_rate:g}) or "
            f"optimizer.{momentum} ({getattr(optimizer, momentum):g}) is too high; lower it."
        )

    def _metric_of(self, row: EpochRow) -> float:
        return row.val_accuracy if self.stage.metric == "val_accuracy" else -row.val_loss

    def _rank(self, row: EpochRow) -> tuple[float, float]:
        # Few images have few accuracies, so equals are common; the other number then tells them apart.
        other = -row.val_loss if self.stage.metric == "val_accuracy" else row.val_accuracy
        return self._metric_of(row), other

    def _should_stop(self, state: TrainingState) -> bool:
        return self.stage.early_stopping is not None and state.waited >= self.stage.early_stopping.patience

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
