"""The two compiled functions of training: one step on one batch, and the measuring of one batch."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from tasks.training.thawing import Thawed

TrainFunction = Callable[..., tuple[tf.Tensor, tf.Tensor]]
MeasureFunction = Callable[..., tuple[tf.Tensor, tf.Tensor]]


def make_train_function(
    thawed: Thawed,
    optimizer: keras.optimizers.Optimizer,
    *,
    class_weights: np.ndarray,
    label_smoothing: float,
    seed: int,
) -> TrainFunction:
    """Make the function that does one step.

    Dropout draws from the layers' seed generators; each is set from (seed, position of the layer, step) at every step,
    so that a step's draws do not depend on the steps before it.

    Args:
        thawed: The model's parts and the variables that learn.
        optimizer: Built for those variables.
        class_weights: float32 (classes,): what an example of each class counts.
        label_smoothing: Share of the target that is spread over all classes.
        seed: The recipe's seed and the stage's salt, in one number below 2**31.

    Returns:
        A function of (images float32 (batch, height, width, 3), labels int32 (batch,), learning rate, step int32) that
        updates the variables and returns the mean loss and the number of right answers.
    """
    weights = tf.constant(class_weights, tf.float32)
    classes = len(class_weights)
    generators = _seed_generators(thawed.suffix)
    cross_entropy = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=label_smoothing, reduction=None
    )

    @tf.function(
        input_signature=[*_batch_signature(thawed), tf.TensorSpec([], tf.float32), tf.TensorSpec([], tf.int32)]
    )
    def train(
        images: tf.Tensor, labels: tf.Tensor, learning_rate: tf.Tensor, step: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        for position, generator in enumerate(generators):
            drawn = tf.random.experimental.stateless_fold_in(tf.stack([seed, position]), step)
            generator.state.assign(tf.bitcast(drawn, tf.uint32))
        optimizer.learning_rate.assign(learning_rate)
        features = images if thawed.prefix is None else thawed.prefix(images, training=False)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            # Watched one by one: under `affine` gamma and beta learn although Keras counts them as frozen.
            tape.watch([variable.value for variable in thawed.variables])
            logits = thawed.suffix(features, training=True)
            losses = cross_entropy(tf.one_hot(labels, classes), logits)
            loss = tf.reduce_mean(losses * tf.gather(weights, labels))
        gradients = tape.gradient(loss, [variable.value for variable in thawed.variables])
        optimizer.apply(gradients, thawed.variables)
        return loss, _count_right(logits, labels)

    function: TrainFunction = train
    return function


def make_measure_function(thawed: Thawed) -> MeasureFunction:
    """Make the function that measures one batch, as the model will be used: without dropout, smoothing or weights.

    Args:
        thawed: The model's parts.

    Returns:
        A function of (images, labels) that returns the sum of the losses and the number of right answers.
    """

    @tf.function(input_signature=_batch_signature(thawed))
    def measure(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        features = images if thawed.prefix is None else thawed.prefix(images, training=False)
        logits = thawed.suffix(features, training=False)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        return tf.reduce_sum(losses), _count_right(logits, labels)

    function: MeasureFunction = measure
    return function


def _batch_signature(thawed: Thawed) -> list[tf.TensorSpec]:
    # Stated, so that there is one trace for batches of all sizes: with a trace per size, which of them a step runs in
    # would depend on the sizes before it, and so on where a run was resumed.
    first = thawed.suffix if thawed.prefix is None else thawed.prefix
    return [tf.TensorSpec(first.input_shape, tf.float32), tf.TensorSpec([None], tf.int32)]


def _count_right(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.cast(tf.argmax(logits, axis=-1, output_type=labels.dtype) == labels, tf.int32))


def _seed_generators(model: keras.Model) -> list[keras.random.SeedGenerator]:
    generators = (getattr(layer, "seed_generator", None) for layer in model._flatten_layers())
    return [generator for generator in generators if generator is not None]
