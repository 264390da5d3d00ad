"""What a child of the tests runs, in whose eyes the machine has two GPUs: which of them a step's process would take."""

import importlib
import typing
from collections.abc import Sequence
from typing import Any
from unittest import mock

import tensorflow as tf
from pydantic import BaseModel

from tests.support import silent_reporter
from thaw.tasks.process import Reporter

GPUS = [tf.config.PhysicalDevice(f"/physical_device:GPU:{number}", "GPU") for number in range(2)]


class Works(BaseModel):
    """The work of several steps: "package.module:function", and its request as JSON."""

    each: list[tuple[str, str]]


class Chosen(Exception):  # noqa: N818 (it is no error: the work has said what it was asked for)
    """The names of the GPUs that were chosen. It ends the work, which so needs no inputs."""


def choices(work: Works, reporter: Reporter) -> dict[str, Any]:
    """Give for each work the GPUs that it chose, or None where it did something else before."""
    return {"choices": [_choice(name, request) for name, request in work.each]}


def _choice(name: str, request: str) -> Any:
    module, _, attribute = name.partition(":")
    function = getattr(importlib.import_module(module), attribute)
    parsed = typing.get_type_hints(function)["work"].model_validate_json(request)
    with (
        mock.patch("tensorflow.config.list_physical_devices", lambda kind=None: GPUS if kind == "GPU" else []),
        mock.patch("tensorflow.config.set_visible_devices", _stop),
    ):
        try:
            function(parsed, silent_reporter())
        except Chosen as chosen:
            return chosen.args[0]
        except Exception as error:  # noqa: BLE001 (for lack of its inputs)
            return repr(error)
    return None


def _stop(devices: Sequence[tf.config.PhysicalDevice], kind: str) -> None:
    # TensorFlow refuses this where it has computed something, and so has taken all the GPUs that it saw.
    tf.config.set_logical_device_configuration(_CPU, [tf.config.LogicalDeviceConfiguration()])
    assert kind == "GPU"
    raise Chosen([GPUS.index(device) for device in devices])


(_CPU,) = tf.config.list_physical_devices("CPU")
