"""The frozen layers of a classifier as one model, with an output for each stage that learns from it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import keras
import tensorflow as tf

from thaw.tasks.training.devices import share
from thaw.tasks.training.features.step import Tap
from thaw.tasks.training.model import POOLING_NAME, backbone_of
from thaw.tasks.training.thawing import backbone_input_of, last_frozen_output


@dataclass(frozen=True)
class Frozen:
    """The last frozen output for one tap.

    Attributes:
        tap: The tap.
        output: In the backbone's own graph.
        multiplications: That lead to it, for one image.
        others: Those after it.
    """

    tap: Tap
    output: keras.KerasTensor
    multiplications: int
    others: int

    @property
    def is_pooled(self) -> bool:
        """Whether nothing of the backbone is thawed, so that its pooled output is what is kept."""
        return self.tap.train == "head"

    @property
    def shape(self) -> list[int]:
        """Of what is kept of one image."""
        return [self.output.shape[-1]] if self.is_pooled else list(self.output.shape[1:])


def find_frozen(model: keras.Model, tap: Tap, backbone_name: str) -> Frozen | None:
    """Find where the frozen layers of a stage end.

    Args:
        model: The classifier that the stage starts from.
        tap: Says what the stage thaws.
        backbone_name: A key of `NETWORKS`.

    Returns:
        The place; None where no single tensor comes before all that is thawed.

    Raises:
        RecipeError: `train` names a layer or a number of blocks that the backbone does not have.
    """
    backbone = backbone_of(model)
    output = last_frozen_output(backbone, tap.train, backbone_name)
    if output is None:
        return None
    before = count_multiplications(keras.Model(backbone.input, output).layers)
    return Frozen(tap, output, before, count_multiplications(backbone.layers) - before)


def count_multiplications(layers: Sequence[keras.Layer]) -> int:
    """Count what layers multiply for one image: the numbers of their kernels, at each position of their output.

    Args:
        layers: Of a backbone.

    Returns:
        The count.
    """
    return sum(
        math.prod(weight.shape) * math.prod(layer.output.shape[1:-1])
        for layer in layers
        for weight in layer.weights
        if len(weight.shape) > 1  # a vector is added, or scales
    )


def join(model: keras.Model, frozen: Sequence[Frozen]) -> keras.Model:
    """Make one model of all that is frozen; layers that several taps share are run once.

    Args:
        model: The classifier.
        frozen: Where its frozen layers end, for each tap.

    Returns:
        From images, as the classifier takes them, to an output for each tap, by the stage's name.
    """
    backbone, pooling = backbone_of(model), model.get_layer(POOLING_NAME)
    by_stage = {each.tap.stage: each.output for each in frozen}
    outputs = keras.Model(backbone.input, by_stage)(backbone_input_of(model))
    pooled = {each.tap.stage: pooling(outputs[each.tap.stage]) for each in frozen if each.is_pooled}
    return keras.Model(model.input, outputs | pooled)


class Compute:
    """Runs a model in inference, on all replicas of a strategy. The outputs are those of one device."""

    def __init__(self, model: keras.Model) -> None:
        """Compile it, in the scope of the strategy in force.

        Args:
            model: From images to outputs by name.
        """
        strategy = tf.distribute.get_strategy()
        values = [keras.ops.convert_to_numpy(variable) for variable in model.variables]

        def run_share(images: tf.Tensor, counts: tf.Tensor) -> dict[str, tf.Tensor]:
            # As constants, which TensorFlow folds: a BatchNormalization into the convolution before it, for example.
            # MobileNetV2 takes a fifth less time so.
            pairs = zip(model.variables, map(tf.constant, values), strict=True)
            with keras.StatelessScope(state_mapping=list(pairs)):
                outputs = model(images, training=False)
            if strategy.num_replicas_in_sync > 1:
                outputs = {name: tf.boolean_mask(output, counts > 0) for name, output in outputs.items()}
            return {name: tf.cast(output, tf.float32) for name, output in outputs.items()}

        # One trace for batches of all sizes, so that an image's outputs do not depend on where the last batch ends.
        @tf.function(input_signature=[tf.TensorSpec(model.input_shape, tf.float32)])
        def compute(images: tf.Tensor) -> dict[str, tf.Tensor]:
            shares, _, counts = share(images, tf.zeros([tf.shape(images)[0]], tf.int32), strategy)
            outputs = strategy.run(run_share, args=(shares, counts))
            if strategy.num_replicas_in_sync > 1:
                outputs = {name: strategy.gather(output, axis=0) for name, output in outputs.items()}
            return dict(outputs)

        self._compute = compute

    def __call__(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Compute the outputs for a batch.

        Args:
            images: float32 (batch, height, width, 3), range [0, 255].

        Returns:
            float32 (batch, …) by the output's name.
        """
        outputs: dict[str, tf.Tensor] = self._compute(images)
        return outputs
