"""The frozen layers of a classifier as one model, with an output for each stage that learns from it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import keras
import tensorflow as tf
from keras import layers

from thaw.pipeline_config.stage_schema import Train
from thaw.tasks.training.devices import share
from thaw.tasks.training.model import POOLING_NAME, backbone_of
from thaw.tasks.training.thawing import backbone_input_of, inputs_of, last_frozen_output

_BEGINS_ANEW = (layers.Conv2D, layers.DepthwiseConv2D, layers.ZeroPadding2D, layers.MaxPooling2D)


@dataclass(frozen=True)
class FrozenOutput:
    """The last output of a backbone, in its own graph, that what a stage thaws does not influence."""

    name: str  # of the stage
    tensor: keras.KerasTensor
    is_pooled: bool  # nothing of the backbone is thawed, so that its pooled output is what is kept
    multiplications: int  # that lead to it, for one image
    others: int  # those after it
    is_seam: bool  # what comes after it is computed in the same way, whether or not it is itself put out

    @property
    def shape(self) -> list[int]:
        """Of what is kept of one image."""
        return [self.tensor.shape[-1]] if self.is_pooled else list(self.tensor.shape[1:])


def find_frozen_output(model: keras.Model, backbone_name: str, stage: str, train: Train) -> FrozenOutput | None:
    """Find where the frozen layers of a stage end that thaws `train` of the classifier that it starts from.

    None where no single tensor comes before all that is thawed.

    Raises:
        RecipeError: `train` names a layer or a number of blocks that the backbone does not have.
    """
    backbone = backbone_of(model)
    output = last_frozen_output(backbone, train, backbone_name)
    if output is None:
        return None
    before = count_multiplications(keras.Model(backbone.input, output).layers)
    others = count_multiplications(backbone.layers) - before
    return FrozenOutput(stage, output, train == "head", before, others, _is_seam(backbone, output))


def _is_seam(backbone: keras.Model, tensor: keras.KerasTensor) -> bool:
    # TensorFlow computes a convolution together with the normalization and the activation after it, which gives other
    # last bits; but not where something else needs what is between them.
    followers = [layer for layer in backbone.layers if any(each is tensor for each in inputs_of(layer))]
    return len(followers) != 1 or isinstance(followers[0], _BEGINS_ANEW)


def count_multiplications(counted: Sequence[keras.Layer]) -> int:
    """Count what layers multiply for one image: the numbers of their kernels, at each position of their output."""
    return sum(
        math.prod(weight.shape) * math.prod(layer.output.shape[1:-1])
        for layer in counted
        for weight in layer.weights
        if len(weight.shape) > 1  # a vector is added, or scales
    )


def frozen_models(model: keras.Model, frozen: Sequence[FrozenOutput]) -> list[keras.Model]:
    """Make models of all that is frozen in a classifier, from images, as it takes them, to outputs by the stage's name.

    One, in which layers that several outputs share are run once, if each output is then bit for bit what a model of its
    own gives; else one for each.
    """
    if all(each.is_seam for each in frozen):
        return [_join(model, frozen)]
    return [_join(model, [each]) for each in frozen]


def _join(model: keras.Model, frozen: Sequence[FrozenOutput]) -> keras.Model:
    backbone, pooling = backbone_of(model), model.get_layer(POOLING_NAME)
    outputs = keras.Model(backbone.input, {each.name: each.tensor for each in frozen})(backbone_input_of(model))
    pooled = {each.name: pooling(outputs[each.name]) for each in frozen if each.is_pooled}
    return keras.Model(model.input, outputs | pooled)


class Compute:
    """Runs a model in inference, on all replicas of a strategy. The outputs are those of one device."""

    def __init__(self, model: keras.Model) -> None:
        """Compile a model from images to outputs by name, in the scope of the strategy in force."""
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

        compute.get_concrete_function()  # is traced here, and not in the thread that first calls it
        self._compute = compute

    def __call__(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Compute the outputs of a batch of images, float32 in [0, 255]: float32 (batch, …) by the output's name."""
        outputs: dict[str, tf.Tensor] = self._compute(images)
        return outputs
