"""Whether the process of a step has what a recipe wants. TensorFlow."""

import tensorflow as tf

from thaw.tasks.devices import choose_devices
from thaw.tasks.formats.look_request import Look, Seen
from thaw.tasks.formats.members import chosen
from thaw.tasks.process import Reporter


def look_around(work: Look, report: Reporter) -> Seen:
    """Look at the devices, and at what the formats need.

    Raises:
        RecipeError: A GPU is named that is not there.
    """
    del report
    devices = choose_devices(work.devices)
    missing = [line for member in chosen(work.formats) if (line := member.missing()) is not None]
    return Seen(tensorflow=tf.__version__, devices=devices, missing=missing)
