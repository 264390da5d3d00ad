"""What a stage's training knows besides the variables: its history, its position, and what it has waited for."""

import math
import time
from dataclasses import dataclass, field

import numpy as np
from pydantic import BaseModel, ConfigDict


class EpochRow(BaseModel):
    """One row of the history; epoch 0, in which nothing is trained, is the state before the first step.

    Attributes:
        loss: Mean over the training images when they were trained on, with smoothing and class weights.
        accuracy: Share of training images that were right then.
        val_loss: Cross-entropy on the validation split, in nats, without smoothing or class weights.
        val_accuracy: Share of validation images that are right.
        learning_rate: At the epoch's last step.
    """

    model_config = ConfigDict(frozen=True)

    epoch: int
    loss: float | None = None
    accuracy: float | None = None
    val_loss: float
    val_accuracy: float
    learning_rate: float = 0.0


@dataclass
class TrainingState:
    """What the loop knows besides the model's and the optimizer's variables.

    The position follows from it: the epoch under way is the one after the last measured, and `epoch_steps` of it are
    done. Learning rates and random numbers are functions of the position, so they need no memory.

    Attributes:
        steps: Since the stage began.
        history: One row for each measured epoch.
        best_epoch: The best epoch so far, by the stage's metric; of equals the one that is better in the other.
        best_weights: The weights that could change, as they were then; kept only where the stage asks for the best.
        reference: The metric that early stopping compares with.
        waited: Epochs since that reference.
        epoch_steps: Steps of the epoch under way that are done.
        loss_sum: Over the training images that they saw.
        right: How many of these were right.
        seen: How many they are.
        seconds_before: Wall time up to the checkpoint that the stage was taken up from; 0 where there was none.
        since: When this process began to add to it, by the clock that never goes back.
    """

    steps: int = 0
    history: list[EpochRow] = field(default_factory=list)
    best_epoch: int = 0
    best_weights: list[np.ndarray] | None = None
    reference: float = -math.inf
    waited: int = 0
    epoch_steps: int = 0
    loss_sum: float = 0.0
    right: int = 0
    seen: int = 0
    seconds_before: float = field(default=0.0, compare=False)
    since: float = field(default_factory=time.monotonic, compare=False)

    @property
    def seconds(self) -> float:
        """Wall time of training and validation, without what an attempt did after its last checkpoint."""
        return self.seconds_before + time.monotonic() - self.since

    @property
    def epoch(self) -> int:
        """The epoch under way, from 1; 0 before the first measurement."""
        return len(self.history)

    def add_step(self, loss: float, *, right: int, seen: int) -> None:
        """Count a training step: its mean loss, and how many of the images that it has seen were right."""
        self.steps += 1
        self.epoch_steps += 1
        self.loss_sum += loss * seen
        self.right += right
        self.seen += seen

    def add_epoch(self, row: EpochRow) -> None:
        """End the epoch under way with its measurement."""
        self.history.append(row)
        self.epoch_steps, self.loss_sum, self.right, self.seen = 0, 0.0, 0, 0
