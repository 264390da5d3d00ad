"""What is said of a trained stage: `stage.json`. No TensorFlow."""

import math

from pydantic import BaseModel, ConfigDict, Field

from thaw.pipeline_config.preprocessing import Fit
from thaw.tasks.artifacts.step import Facts

# What is less probable counts as this, so that an image has the same loss in validation, from logits, as in the test,
# from probabilities. TensorFlow's vectorised softmax returns zero below 2**-125, before float32 has to.
SMALLEST_PROBABILITY = 2.0**-124
LARGEST_LOSS = -math.log(SMALLEST_PROBABILITY)  # about 86 nats


class Measurement(BaseModel):
    """Loss (cross-entropy, nats) and accuracy (0 to 1) on the validation split."""

    model_config = ConfigDict(frozen=True)

    val_loss: float
    val_accuracy: float


class StageFacts(Facts):
    """The contents of `stage.json`."""

    name: str
    backbone: str
    fit: Fit = Field(description="how images are brought to the model's size")
    classes: list[str] = Field(description="in the order of the model's outputs")
    training_images: int
    epochs: int = Field(description="that were run")
    kept_epoch: int = Field(description="whose weights these are; 0 is the state before the first step")
    before: Measurement = Field(description="before the first step")
    val_loss: float = Field(description="of the kept weights")
    val_accuracy: float = Field(description="of the kept weights")
    weights_sha256: str
    parameters: int = Field(description="numbers in the model")
    trainable_parameters: int = Field(description="numbers that learned")
    trainable_tensors: int
    feature_views: int = Field(default=0, description="of each training image that it learned from; 0: from the images")
