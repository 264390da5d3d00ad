"""How devices train together, how a batch is shared among them, and in which precision they compute."""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import keras
import tensorflow as tf

from thaw.pipeline_config.schema import Devices, Precision
from thaw.tasks.devices import choose_devices
from thaw.tasks.parallel import Item, Result, map_in_order

_BATCHES_AT_ONCE = 2  # of inference: one leaves a quarter of two cores idle, and a third gains nothing more


def choose_strategy(devices: Devices) -> tf.distribute.Strategy:
    """Choose what trains. To be called before anything is computed.

    "auto" is a TPU where one answers, else all GPUs, else the CPU.

    Returns:
        TensorFlow's default strategy for one device, `MirroredStrategy` for several GPUs, or `TPUStrategy`.

    Raises:
        RecipeError: A GPU is asked for that is not there.
    """
    names = choose_devices(devices)
    if devices == "auto" and (tpu := _connect_to_tpu()) is not None:
        return tpu
    return mirrored(names) if len(names) > 1 else tf.distribute.get_strategy()


def mirrored(names: list[str]) -> tf.distribute.Strategy:
    """Let several devices of this machine, such as "GPU:0", train as replicas of one.

    The strategy sums on one device. The default is collective operations, with which a training step on two CPUs ended
    in "Shape mismatch in the collective instance" (TensorFlow 2.21).
    """
    return tf.distribute.MirroredStrategy(names, cross_device_ops=tf.distribute.ReductionToOneDevice())


def _connect_to_tpu() -> tf.distribute.Strategy | None:
    # Cloud machines name their TPU in the environment, or have it as a device of their own.
    if "TPU_NAME" not in os.environ and not tf.config.list_physical_devices("TPU"):
        return None
    return tf.distribute.TPUStrategy(tf.distribute.cluster_resolver.TPUClusterResolver.connect())


def share(
    images: tf.Tensor, labels: tf.Tensor, strategy: tf.distribute.Strategy
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Share a batch among the replicas of a strategy: consecutive examples, as evenly as possible.

    A replica for which there is no example gets one of another's that counts nothing, because statistics of an empty
    batch are not numbers.

    Args:
        images: float32 (batch, height, width, 3).
        labels: int32 (batch,).
        strategy: In cross-replica context.

    Returns:
        For each replica its images, its labels, and float32 (its examples,): 1 for what counts, else 0.
    """
    count = tf.shape(labels)[0]

    def of_replica(context: tf.distribute.experimental.ValueContext) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        number, replicas = context.replica_id_in_sync_group, context.num_replicas_in_sync
        start, stop = count * number // replicas, count * (number + 1) // replicas
        last = tf.maximum(stop, start + 1)
        return images[start:last], labels[start:last], tf.cast(tf.range(start, last) < stop, tf.float32)

    shares: tuple[tf.Tensor, tf.Tensor, tf.Tensor] = strategy.experimental_distribute_values_from_function(of_replica)
    return shares


def infer_in_order(infer: Callable[[Item], Result], batches: Iterable[Item]) -> Iterator[Result]:
    """Give what a network puts out for each batch, in their order; on one device it works on two of them at once.

    The TensorFlow function that `infer` calls must have been traced: the scopes in which a network was built do not
    hold in the threads.
    """
    if tf.distribute.get_strategy().num_replicas_in_sync > 1:  # which share each batch already
        yield from map(infer, batches)
        return
    with ThreadPoolExecutor(_BATCHES_AT_ONCE) as threads:
        # One more waits, so that no thread does while results are used.
        yield from map_in_order(threads, infer, batches, window=_BATCHES_AT_ONCE + 1)


def agree_on_overflow(gradients: list[tf.Tensor]) -> list[tf.Tensor]:
    """Return this replica's gradients, or NaN in their place if any replica's are not finite: so all skip the step.

    Keras's LossScaleOptimizer looks at the first replica's gradients alone. To be called in replica context.
    """
    finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(gradient)) for gradient in gradients])
    overflows = tf.distribute.get_replica_context().all_reduce(
        tf.distribute.ReduceOp.SUM, tf.cast(tf.logical_not(finite), tf.float32)
    )
    poison = tf.where(overflows > 0, float("nan"), 0.0)
    return [gradient + tf.cast(poison, gradient.dtype) for gradient in gradients]


@contextlib.contextmanager
def computing_in(precision: Precision) -> Iterator[None]:
    """Let layers that are built meanwhile compute in a precision. Their weights are float32 all the same."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32" if precision == "float32" else f"mixed_{precision}")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
