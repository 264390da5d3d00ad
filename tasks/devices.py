"""Which devices the process of a step computes on. TensorFlow."""

import tensorflow as tf

from thaw.pipeline_config.errors import RecipeError
from thaw.pipeline_config.schema import Devices


def choose_devices(devices: Devices, *, required: bool = True) -> list[str]:
    """Let this process see only the GPUs that `devices` names, and give their names there, such as "GPU:0".

    Whatever computes with TensorFlow in a process of its own begins with this: TensorFlow takes the memory of every GPU
    that it sees, with the first tensor. Without `required`, a GPU that is not there is passed over.

    Raises:
        RecipeError: A GPU is required that is not there.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if devices == "auto":
        return [f"GPU:{number}" for number in range(len(gpus))]
    numbers = [] if devices == "cpu" else devices
    missing = [number for number in numbers if number >= len(gpus)]
    if missing and required:
        raise RecipeError(
            f"devices: there is no GPU {missing[0]}. TensorFlow sees {len(gpus)}, counted from 0. "
            "Use auto, cpu, or the numbers of others."
        )
    chosen = [gpus[number] for number in numbers if number not in missing]
    tf.config.set_visible_devices(chosen, "GPU")
    return [f"GPU:{number}" for number in range(len(chosen))]
