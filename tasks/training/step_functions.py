"""The two compiled functions of training: one training step on one batch, and the evaluation of one batch.

Both share their batch among the replicas of the strategy in whose scope they are made; one device is one replica.
"""

import contextlib
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from thaw.tasks.training.averaging import WeightAverage, adapting_statistics
from thaw.tasks.training.devices import agree_on_overflow, share
from thaw.tasks.training.stage_facts import LARGEST_LOSS
from thaw.tasks.training.thawing import Thawed

BatchFunction = Callable[..., tuple[tf.Tensor, tf.Tensor]]  # gives a loss, and the number of right answers


def make_train_function(
    thawed: Thawed,
    optimizer: keras.optimizers.Optimizer,
    *,
    class_weights: np.ndarray,
    label_smoothing: float,
    seed: int,
    average: WeightAverage | None = None,
) -> BatchFunction:
    """Make the function that does one training step.

    Args:
        thawed: The model's parts and the variables that learn.
        optimizer: Built for those variables.
        class_weights: float32 (classes,), what an example of each class counts.
        label_smoothing: Share of the target that is spread over all classes.
        seed: The recipe's and the stage's, in one number below 2**31.
        average: Updated after each training step.

    Returns:
        A function of (images float32 (batch, height, width, 3), labels int32 (batch,), learning rate, number of the
        training step, int32 from 0) that updates the variables and returns the mean loss and the number of right
        answers, both over the whole batch.
    """
    strategy = tf.distribute.get_strategy()
    train_share = _make_share_function(thawed, optimizer, class_weights, label_smoothing, seed)
    statistics = adapting_statistics(thawed.suffix)

    @tf.function(
        input_signature=[*_batch_signature(thawed), tf.TensorSpec([], tf.float32), tf.TensorSpec([], tf.int32)]
    )
    def train(
        images: tf.Tensor, labels: tf.Tensor, learning_rate: tf.Tensor, step: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        optimizer.learning_rate.assign(learning_rate)
        loss, right, adapted = strategy.run(train_share, args=(*share(images, labels, strategy), tf.size(labels), step))
        if strategy.num_replicas_in_sync > 1:
            # Each replica has adapted its own. One value for all is what can be saved, and resumed from.
            for variable, values in zip(statistics, adapted, strict=True):
                variable.assign(strategy.reduce(tf.distribute.ReduceOp.MEAN, values, axis=None))
        if average is not None:
            average.update(step)
        return _sum(strategy, loss), _sum(strategy, right)

    function: BatchFunction = train
    return function


def _make_share_function(
    thawed: Thawed, optimizer: keras.optimizers.Optimizer, class_weights: np.ndarray, label_smoothing: float, seed: int
) -> Callable[..., tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]]:
    """Make the function that one replica runs on its share of a batch.

    Dropout draws from random states of the layers; each is set from (seed, position of the layer, replica, step) at
    every training step, so that its draws do not depend on those before it.
    """
    weights = tf.constant(class_weights, tf.float32)
    saved = set(map(id, thawed.suffix.weights))  # all variables but the random states
    seeds = [variable for variable in thawed.suffix.variables if id(variable) not in saved]
    cross_entropy = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=label_smoothing, reduction=None
    )
    statistics = adapting_statistics(thawed.suffix)
    scales_loss = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)

    def train_share(
        images: tf.Tensor, labels: tf.Tensor, counts: tf.Tensor, batch_size: tf.Tensor, step: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        replica = tf.distribute.get_replica_context()
        for position, state in enumerate(seeds):
            number = position + len(seeds) * replica.replica_id_in_sync_group
            drawn = tf.random.experimental.stateless_fold_in(tf.stack([seed, number]), step)
            state.assign(tf.bitcast(drawn, tf.uint32))
        features = images if thawed.prefix is None else thawed.prefix(images, training=False)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            # Watched one by one: under `affine` gamma and beta learn although Keras counts them as frozen.
            tape.watch([variable.value for variable in thawed.variables])
            logits = thawed.suffix(features, training=True)
            losses = cross_entropy(tf.one_hot(labels, len(class_weights)), logits)
            # Over the whole batch: gradients of replicas are summed.
            loss = tf.reduce_sum(losses * tf.gather(weights, labels) * counts) / tf.cast(batch_size, tf.float32)
            scaled = optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, [variable.value for variable in thawed.variables])
        if scales_loss and replica.num_replicas_in_sync > 1:
            gradients = agree_on_overflow(gradients)
        optimizer.apply(gradients, thawed.variables)
        return loss, _count_right(logits, labels, counts), [tf.identity(variable.value) for variable in statistics]

    return train_share


def make_measure_function(thawed: Thawed, average: WeightAverage | None = None) -> BatchFunction:
    """Make the function that evaluates one batch, as the model will be used: without dropout, smoothing or weights.

    It takes (images, labels), returns the sum of the losses and the number of right answers, and reads the averages in
    place of the weights if there are any.
    """
    strategy = tf.distribute.get_strategy()

    def evaluate_share(images: tf.Tensor, labels: tf.Tensor, counts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        features = images if thawed.prefix is None else thawed.prefix(images, training=False)
        with average.scope() if average is not None else contextlib.nullcontext():
            logits = thawed.suffix(features, training=False)
        losses = tf.minimum(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits), LARGEST_LOSS)
        return tf.reduce_sum(losses * counts), _count_right(logits, labels, counts)

    @tf.function(input_signature=_batch_signature(thawed))
    def evaluate_batch(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        loss, right = strategy.run(evaluate_share, args=share(images, labels, strategy))
        return _sum(strategy, loss), _sum(strategy, right)

    evaluate_batch.get_concrete_function()  # is traced here, and not in the thread that first calls it
    function: BatchFunction = evaluate_batch
    return function


def _batch_signature(thawed: Thawed) -> list[tf.TensorSpec]:
    # Stated, so that there is one trace for batches of all sizes: with a trace per size, which of them a step runs in
    # would depend on the sizes before it, and so on where a run was resumed.
    first = thawed.suffix if thawed.prefix is None else thawed.prefix
    return [tf.TensorSpec(first.input_shape, tf.float32), tf.TensorSpec([None], tf.int32)]


def _sum(strategy: tf.distribute.Strategy, values: tf.Tensor) -> tf.Tensor:
    return strategy.reduce(tf.distribute.ReduceOp.SUM, values, axis=None)


def _count_right(logits: tf.Tensor, labels: tf.Tensor, counts: tf.Tensor) -> tf.Tensor:
    right = tf.argmax(logits, axis=-1, output_type=labels.dtype) == labels
    return tf.reduce_sum(tf.cast(right, tf.int32) * tf.cast(counts, tf.int32))
